package inventory

import "github.com/pratique/pratique/internal/layer"

// Options bound what a layer may make its analysis do and remember. The zero value
// is usable: every limit that is zero takes its default. Beyond a limit of Layer
// the layer is refused; beyond another, the rest is left out, with a warning that
// names the limit.
type Options struct {
	// Layer bounds the pass itself.
	Layer layer.Options
	// Files bounds the files in which something is found; 50,000.
	Files int
	// Packages bounds the packages in all of them; 200,000.
	Packages int
	// Warnings bounds the warnings; 100.
	Warnings int
	// Links bounds symbolic links, and hard links to what lower layers have; 100,000.
	Links int
	// Hidden bounds whiteouts and the like; 50,000.
	Hidden int
	// Claims bounds what package databases say of who brought which file, in bytes
	// of paths; 64 MiB.
	Claims int
	// Names bounds the names of entries, in bytes in all; 32 MiB.
	Names int
	// ArchiveBytes bounds what is decompressed of the archives in a layer, in bytes
	// in all; 4 GiB.
	ArchiveBytes int64
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Files, 50_000}, {&o.Packages, 200_000}, {&o.Warnings, 100}, {&o.Links, 100_000}, {&o.Hidden, 50_000}, {&o.Claims, 64 << 20}, {&o.Names, 32 << 20}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.ArchiveBytes == 0 {
		o.ArchiveBytes = 4 << 30
	}
	return o
}

// DetectorOptions bound what a detector may do for one file. The zero value is
// usable: every limit that is zero takes its default.
type DetectorOptions struct {
	// ArchiveDepth bounds archives in archives; 5.
	ArchiveDepth int64
	// ArchiveEntries bounds the entries of an archive and of those in it; 200,000.
	ArchiveEntries int64
	// ArchiveDirectory bounds the directory of one archive, in bytes; 16 MiB.
	ArchiveDirectory int64
	// ArchiveInner bounds what is kept in memory of archives in archives at one
	// time, in bytes; 128 MiB.
	ArchiveInner int64
	// ArchiveBytes bounds what is decompressed of one archive, in bytes in all; 512 MiB.
	ArchiveBytes int64
	// ArchiveRatio bounds decompressed to compressed bytes of an entry of more than
	// 1 MiB; 200.
	ArchiveRatio int64
	// Document bounds a file of JSON, in bytes; 32 MiB.
	Document int64
}

func (o DetectorOptions) withDefaults() DetectorOptions {
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&o.ArchiveDepth, 5}, {&o.ArchiveEntries, 200_000}, {&o.ArchiveDirectory, 16 << 20}, {&o.ArchiveInner, 128 << 20},
		{&o.ArchiveBytes, 512 << 20}, {&o.ArchiveRatio, 200}, {&o.Document, 32 << 20},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}
