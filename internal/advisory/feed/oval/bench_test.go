package oval_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/pratique/pratique/internal/advisory/feed/oval"
)

// large is a document like those of SUSE, with so many definitions and tests.
func large(definitions, tests int) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"><definitions>`)
	for i := range definitions {
		fmt.Fprintf(&b, `<definition id="oval:org.example:def:2021%d" version="1" class="vulnerability">
 <metadata><title>CVE-2021-%d</title>
 <description>An overflow in some parser of a library allows remote attackers to read memory of other processes by a document of some kind.</description></metadata>
 <criteria operator="AND">
`, i, 10000+i)
		b.WriteString("\t\t\t<criteria operator=\"OR\">\n")
		for j := range 20 {
			fmt.Fprintf(&b, "\t\t\t\t<criterion test_ref=\"oval:org.example:tst:%d\" comment=\"Example Enterprise Server for Special Applications 15 SP%d is installed\"/>\n", j, j)
		}
		b.WriteString("\t\t\t</criteria>\n\t\t\t<criteria operator=\"OR\">\n")
		for j := range 20 {
			fmt.Fprintf(&b, "\t\t\t\t<criterion test_ref=\"oval:org.example:tst:%d\" comment=\"package-default-4.12.14-150.72.%d is installed\"/>\n", 100+(i*20+j)%tests, j)
		}
		b.WriteString("\t\t\t</criteria>\n\t\t</criteria></definition>\n")
	}
	b.WriteString("</definitions><tests>\n")
	for i := range tests + 100 {
		object := i % 20_000
		if i < 100 {
			object = 0 // the release package
		}
		fmt.Fprintf(&b, `<rpminfo_test id="oval:org.example:tst:%d" version="1" comment="package-%d is &lt;4.12.14-150.72.1 for aarch64,ppc64le,s390x,x86_64" check="at least one" xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux">
  <object object_ref="oval:org.example:obj:%d"/>
  <state state_ref="oval:org.example:ste:%d"/>
</rpminfo_test>
`, i, i, object, i/5)
	}
	b.WriteString("</tests><objects>\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "<rpminfo_object id=\"oval:org.example:obj:%d\" version=\"1\">\n  <name>package-%d</name>\n</rpminfo_object>\n", i, i)
	}
	b.WriteString("</objects><states>\n")
	for i := range tests/5 + 100 {
		fmt.Fprintf(&b, `<rpminfo_state id="oval:org.example:ste:%d" version="1">
  <arch datatype="string" operation="pattern match">(aarch64|ppc64le|s390x|x86_64)</arch>
  <evr datatype="evr_string" operation="less than">0:4.12.14-150.72.%d</evr>
</rpminfo_state>
`, i, i)
	}
	b.WriteString("</states></oval_definitions>\n")
	return b.Bytes()
}

// BenchmarkRead reads a document of 200 MB, and says how much memory is held
// when its definitions come.
func BenchmarkRead(b *testing.B) {
	text := large(20_000, 200_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	total := 0
	for b.Loop() {
		total = 0
		_, err := oval.Read(context.Background(), bytes.NewReader(text), oval.Options{Definition: func(d *oval.Definition) error {
			if during.HeapAlloc == 0 {
				runtime.GC()
				runtime.ReadMemStats(&during)
			}
			clauses, _ := d.Clauses(func(c oval.Criterion) (oval.Condition, error) {
				if c.Test.Name == "package-0" {
					return oval.Condition{Product: "example:15.5"}, nil
				}
				r, err := c.Test.State.EVR.Range()
				return oval.Condition{Package: c.Test.Name, Range: r}, err
			})
			total += len(clauses)
			return nil
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(during.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-held")
	b.ReportMetric(float64(total), "clauses")
}
