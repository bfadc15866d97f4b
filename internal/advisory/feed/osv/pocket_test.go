package osv

import "testing"

func TestReadUbuntu(t *testing.T) {
	tests := []struct {
		text, release string
		pocket        pocket
		name          string
	}{
		{"22.04:LTS", "22.04", archivePocket, ""},
		{"25.10", "25.10", archivePocket, ""},
		{"Pro:16.04:LTS", "16.04", esmPocket, "Pro"},
		{"Pro:FIPS:16.04:LTS", "16.04", apartPocket, "Pro FIPS"},
		{"Pro:FIPS-updates:18.04:LTS", "18.04", apartPocket, "Pro FIPS-updates"},
		{"Pro:22.04:LTS:Realtime:Kernel", "22.04", apartPocket, "Pro Realtime Kernel"},
		{"Pro:Realtime:24.04:LTS", "24.04", apartPocket, "Pro Realtime"},
		{"22.04:LTS:for:NVIDIA:BlueField", "22.04", apartPocket, "for NVIDIA BlueField"},
		{"Nvidia-BlueField:24.04:LTS", "24.04", apartPocket, "Nvidia-BlueField"},
		{"", "", archivePocket, ""},
		{"jammy", "", apartPocket, "jammy"},
	}
	for _, test := range tests {
		if release, p, name := readUbuntu(test.text); release != test.release || p != test.pocket || name != test.name {
			t.Errorf("%q: %q %d %q, want %q %d %q", test.text, release, p, name, test.release, test.pocket, test.name)
		}
	}
}
