package layer

import (
	"bytes"
	"strconv"
	"strings"
)

// SniffLength is how many bytes Sniff needs to see, fewer where there are no more.
const SniffLength = 512

// Sniff reports whether a blob that starts with head may be a layer: compressed
// in a known way, or a tar archive.
func Sniff(head []byte) bool { return detect(head) != none || isTar(head) }

// compression is how a layer is packed, told from its first bytes: media types
// say what the pusher believed.
type compression string

const (
	none      compression = "none"
	gzipped   compression = "gzip"
	zstandard compression = "zstd"
	xzipped   compression = "xz"
	bzipped   compression = "bzip2"
)

func detect(head []byte) compression {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("\x1f\x8b"):
		return gzipped
	case has("\x28\xb5\x2f\xfd"), isSkippable(head):
		return zstandard
	case has("\xfd7zXZ\x00"):
		return xzipped
	case has("BZh") && len(head) >= 10 &&
		// The magic alone could be the name of a tar archive's first entry.
		(string(head[4:10]) == "\x31\x41\x59\x26\x53\x59" || string(head[4:10]) == "\x17\x72\x45\x38\x50\x90"):
		return bzipped
	}
	return none
}

// isSkippable reports a skippable frame (RFC 8878, section 3.1.2): zstd:chunked
// and pzstd may start with one.
func isSkippable(head []byte) bool {
	return len(head) >= 4 && head[0]&0xf0 == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18
}

// isTar checks the header checksum, which every tar format has; an archive
// without entries is zeros.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	head = head[:512]
	field := strings.Trim(string(head[148:156]), " \x00")
	want, err := strconv.ParseInt(field, 8, 64)
	if err != nil {
		return field == "" && len(bytes.Trim(head, "\x00")) == 0
	}
	var sum int64
	for i, c := range head {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	return sum == want
}
