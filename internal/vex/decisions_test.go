package vex_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/pratique/pratique/internal/vex"
)

// decisionsWriters are those of both formats.
var decisionsWriters = map[string]func(io.Writer, string) *vex.DecisionsWriter{"openvex": vex.NewOpenVEXWriter, "cyclonedx": vex.NewCycloneDXWriter}

func someDecisions(from, n int) []vex.Decision {
	list := make([]vex.Decision, n)
	for i := range list {
		list[i] = vex.Decision{Author: []string{"ann", "bob"}[i%2], Statement: vex.Statement{Vulnerability: fmt.Sprint("CVE-2024-", from+i), Status: vex.NotAffected,
			Timestamp: noon.Add(time.Duration(from+i) * time.Second), Impact: "Nothing listens <here> & there.", Products: []vex.Product{{ID: "pkg:generic/musl@1.2.5"}}}}
	}
	return list
}

// TestManyDecisions: a document of more decisions than anyone keeps in memory is
// written without keeping them.
func TestManyDecisions(t *testing.T) {
	for name, writer := range decisionsWriters {
		t.Run(name, func(t *testing.T) {
			const batch, batches = 1000, 60
			w := writer(io.Discard, "1.2.3")
			heap := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before := heap()
			for i := range batches {
				if err := w.Write(someDecisions(i*batch, batch)); err != nil {
					t.Fatal(err)
				}
			}
			if after := heap(); after > before+4<<20 {
				t.Errorf("it keeps %d MiB", (after-before)>>20)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDecisionsDocument: what is written in parts is one document, with what is known
// of all of it; of none, too.
func TestDecisionsDocument(t *testing.T) {
	write := func(t *testing.T, name string, parts ...[]vex.Decision) []byte {
		t.Helper()
		var out bytes.Buffer
		w := decisionsWriters[name](&out, "1.2.3")
		for _, part := range parts {
			if err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name := range decisionsWriters {
		whole := write(t, name, someDecisions(0, 5))
		if parts := write(t, name, someDecisions(0, 1)[:1], someDecisions(0, 5)[1:]); !bytes.Equal(whole, parts) {
			t.Errorf("%s in parts:\n%s\nas a whole:\n%s", name, parts, whole)
		}
		golden(t, "decisions-"+name+".json", whole)
		d, err := vex.Read(bytes.NewReader(whole), vex.Limits{})
		if err != nil || len(d.Statements) != 5 || d.Author != "ann, bob" || !d.Issued.Equal(noon.Add(4*time.Second)) || d.ID == "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		empty := write(t, name)
		if e, err := vex.Read(bytes.NewReader(empty), vex.Limits{}); err == nil && len(e.Statements) > 0 || !bytes.Contains(empty, []byte(": []")) {
			t.Errorf("%s of nothing: %s, %v", name, empty, err)
		}
		if other := write(t, name, someDecisions(1, 5)); bytes.Contains(other, []byte(d.ID)) {
			t.Errorf("%s: another document has the same id", name)
		}
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(write(t, "cyclonedx", someDecisions(0, 5))), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil ||
		bom.SpecVersion != cyclonedx.SpecVersion1_6 || len(*bom.Vulnerabilities) != 5 || bom.Metadata == nil || bom.SerialNumber == "" {
		t.Errorf("as CycloneDX's own library reads it: %+v, %v", bom, err)
	}
}

// TestDecisionsToNobody: a reader who has gone is noticed.
func TestDecisionsToNobody(t *testing.T) {
	for name, writer := range decisionsWriters {
		r, pipe := io.Pipe()
		r.Close()
		w := writer(pipe, "1.2.3")
		if err := errors.Join(w.Write(someDecisions(0, 1000)), w.Close()); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
