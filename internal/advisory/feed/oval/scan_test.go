package oval

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func never() error { return nil }

// events writes down what a scanner reads.
func events(r io.Reader) (string, error) {
	var b strings.Builder
	s := newScanner(r, never)
	var text []byte
	flush := func() {
		if len(text) > 0 {
			fmt.Fprintf(&b, "%q ", text)
		}
		text = nil
	}
	for {
		kind, err := s.next()
		if err != nil || kind == endOfDocument {
			flush()
			return strings.TrimSpace(b.String()), err
		}
		switch kind {
		case someText:
			if s.plain {
				text = append(text, s.text...)
			} else if text, err = unescape(text, s.text, true); err != nil {
				return b.String(), err
			}
		case startElement:
			flush()
			fmt.Fprintf(&b, "<%s", s.name)
			for _, a := range s.attrs {
				value, err := s.attr(string(a.name), 1000)
				if err != nil {
					return b.String(), err
				}
				fmt.Fprintf(&b, " %s=%q", a.name, value)
			}
			b.WriteString("> ")
		case endElement:
			flush()
			b.WriteString("</> ")
		}
	}
}

func TestScan(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"element", `<a>b</a>`, `<a> "b" </>`},
		{"empty element", `<a/>`, `<a> </>`},
		{"empty element with space", `<a />`, `<a> </>`},
		{"attributes", `<a b="1" c = '2"' />`, `<a b="1" c="2\""> </>`},
		{"a bracket in an attribute", `<a b="x > y"/>`, `<a b="x > y"> </>`},
		{"prefixes", `<x:a y:b="1"><x:c/></x:a>`, `<a y:b="1"> <c> </> </>`},
		{"entities", `<a b="&lt;&quot;&#233;">&amp;&#x41;&apos;&gt;</a>`, `<a b="<\"é"> "&A'>" </>`},
		{"nothing", `<a b=""></a>`, `<a b=""> </>`},
		{"declaration", "\uFEFF<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a/>\n", `<a> </>`},
		{"instruction", `<a><?x y?></a>`, `<a> </>`},
		{"comment", `<!-- > --><a>b<!-- </a> -- ->-->c</a><!---->`, `<a> "bc" </>`},
		{"CDATA", `<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>`, `<a> "<b>&amp;]]>" </>`},
		{"lines", "<a\n\tb='1'\r\n>\n</a\n>", `<a b="1"> "\n" </>`},
		{"siblings", `<a><b>1</b><b>2</b></a>`, `<a> <b> "1" </> <b> "2" </> </>`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"whole": strings.NewReader(test.document), "by bytes": iotest.OneByteReader(strings.NewReader(test.document))} {
				got, err := events(r)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

// endless repeats a text after a head.
func endless(head, text string) io.Reader {
	return io.MultiReader(strings.NewReader(head), repeat{text})
}

type repeat struct{ text string }

func (r repeat) Read(p []byte) (n int, err error) {
	for n+len(r.text) <= len(p) {
		n += copy(p[n:], r.text)
	}
	return n, nil
}

// numbered are attributes.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` a%d=""`, i)
	}
	return b.String()
}

func TestScanRefuses(t *testing.T) {
	tests := []struct {
		name string
		r    io.Reader
		want string
		is   error
	}{
		{"empty", strings.NewReader(""), "byte 0: unexpected EOF", io.ErrUnexpectedEOF},
		{"only space", strings.NewReader(" \n"), "byte 2: unexpected EOF", nil},
		{"JSON", strings.NewReader(`{"a": 1}`), `has "{\"a\": 1}" where an element`, ErrShape},
		{"not closed", strings.NewReader("<a><b></b>"), "byte 10: unexpected EOF", nil},
		{"cut in a tag", strings.NewReader(`<a b="1`), "unexpected EOF", nil},
		{"cut in a comment", strings.NewReader(`<a><!-- `), "unexpected EOF", nil},
		{"cut in CDATA", strings.NewReader(`<a><![CDATA[ `), "unexpected EOF", nil},
		{"closed by another", strings.NewReader("<a></b>"), "byte 3: </b> closes no open element", nil},
		{"closed by another prefix", strings.NewReader("<x:a></y:a>"), "closes no open element", nil},
		{"closed twice", strings.NewReader("<a/></a>"), "closes no open element", nil},
		{"two roots", strings.NewReader("<a/><b/>"), "byte 4: a second root element", nil},
		{"text behind", strings.NewReader("<a/>b"), `has "b" where an element`, nil},
		{"CDATA behind", strings.NewReader("<a/><![CDATA[b]]>"), "text outside of any element", nil},
		{"document type", strings.NewReader(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`), "byte 0", ErrEntities},
		{"a thousand laughs", strings.NewReader(`<a>&lol9;</a>`), "&lol9;", ErrEntities},
		{"an entity in an attribute", strings.NewReader(`<a b="&c;"/>`), "&c;", ErrEntities},
		{"no entity", strings.NewReader(`<a>AT&T</a>`), "an & that begins no entity", nil},
		{"a character that is none", strings.NewReader(`<a>&#x110000;</a>`), "&#x110000;", ErrEntities},
		{"no quotes", strings.NewReader(`<a b=c/>`), "malformed tag", nil},
		{"no value", strings.NewReader(`<a b/>`), "malformed tag", nil},
		{"no space", strings.NewReader(`<a b="1"c="2"/>`), "malformed tag", nil},
		{"an attribute twice", strings.NewReader(`<a b="1" b="2"/>`), "two attributes are called b", nil},
		{"no name", strings.NewReader(`<>`), "malformed tag", nil},
		{"a slash", strings.NewReader(`<a/b>`), "malformed tag", nil},
		{"another encoding", strings.NewReader(`<?xml version="1.0" encoding="ISO-8859-1"?><a/>`), `encoding "ISO-8859-1"`, nil},
		{"deep", endless("", "<a>"), "nested deeper than 100", ErrLimit},
		{"huge attribute", endless(`<a b="`, "x"), "a tag has more than 65536 bytes", ErrLimit},
		{"huge name", endless(`<`, "x"), "a tag has more than 65536 bytes", ErrLimit},
		{"huge end", endless(`<a></`, "x"), "a tag has more than 65536 bytes", ErrLimit},
		{"many attributes", strings.NewReader("<a" + numbered(65) + "/>"), "a tag has more than 64 attributes", ErrLimit},
		{"broken", io.MultiReader(strings.NewReader("<a>"), iotest.ErrReader(errors.New("mine"))), "byte 0: mine", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := events(test.r)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want one with %q, and being %v", err, test.want, test.is)
			}
		})
	}
}

// TestScanLong has everything lie across the borders of the buffer.
func TestScanLong(t *testing.T) {
	const text = `<b c="&lt;1>">x&amp;y</b><!-- --><d><![CDATA[]]]]></d>`
	document := "<a>" + strings.Repeat(text, 3*window/len(text)) + "</a>"
	got, err := events(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	want := "<a> " + strings.Repeat(`<b c="<1>"> "x&y" </> <d> "]]" </> `, 3*window/len(text)) + "</>"
	if got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

func TestContent(t *testing.T) {
	tests := []struct {
		name, document, want string
		limit                int
	}{
		{"text", "<a> b\n c </a>", "b\n c", 10},
		{"in pieces", "<a> b<!-- -->c<![CDATA[ d ]]> </a>", "bc d", 10},
		{"elements in it", "<a>b<c>no</c>d</a>", "bd", 10},
		{"too long", "<a>" + strings.Repeat("x", 100_000) + "</a>", "xxx", 3},
		{"cut before an entity", "<a>xx" + strings.Repeat("&amp;", 100) + "</a>", "xx&", 3},
		{"cut in a character", "<a>xxé</a>", "xx", 3},
		{"no text", "<a>\xff</a>", "\uFFFD", 10},
		{"empty", "<a/>", "", 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newScanner(strings.NewReader(test.document), never)
			if kind, err := s.next(); kind != startElement || err != nil {
				t.Fatal(kind, err)
			}
			got, err := s.content(test.limit)
			if err != nil || got != test.want || s.depth() != 0 {
				t.Errorf("%q, %v, depth %d; want %q", got, err, s.depth(), test.want)
			}
		})
	}
}

// FuzzScan compares what is read with what encoding/xml reads.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`<a b="1"><c>d &amp; e</c><!-- f --><![CDATA[g]]></a>`, `<?xml version="1.0"?><a/>`, `<a><b></a></b>`, `<a b='"' c="'"/>`, `<x:a xmlns:x="y">z</x:a>`, "<a>\r\n</a>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		got, err := events(strings.NewReader(document))
		if err != nil {
			return
		}
		var b strings.Builder
		var text []byte
		flush := func() {
			if len(text) > 0 {
				fmt.Fprintf(&b, "%q ", text)
			}
			text = nil
		}
		depth := 0
		d := xml.NewDecoder(strings.NewReader(document))
		for {
			token, err := d.RawToken()
			if err == io.EOF {
				break
			}
			if err != nil {
				return // it is stricter about characters
			}
			switch token := token.(type) {
			case xml.StartElement:
				flush()
				depth++
				fmt.Fprintf(&b, "<%s", token.Name.Local)
				for _, a := range token.Attr {
					name := a.Name.Local
					if a.Name.Space != "" {
						name = a.Name.Space + ":" + name
					}
					fmt.Fprintf(&b, " %s=%q", name, a.Value)
				}
				b.WriteString("> ")
			case xml.EndElement:
				flush()
				depth--
				b.WriteString("</> ")
			case xml.CharData:
				if depth > 0 {
					text = append(text, token...)
				}
			}
		}
		flush()
		// encoding/xml makes one of the two characters of a line's end.
		lines := strings.NewReplacer(`\r\n`, `\n`, `\r`, `\n`)
		if want := strings.TrimSpace(b.String()); lines.Replace(got) != lines.Replace(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
