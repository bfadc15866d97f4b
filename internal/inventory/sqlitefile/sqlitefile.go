// Package sqlitefile reads tables of a SQLite database
// (https://www.sqlite.org/fileformat2.html) from memory or a file, without SQL.
// It never writes, and trusts nothing that it reads: what is damaged is told, the
// rest is read. A write-ahead log beside the file is not looked at.
package sqlitefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrFormat is returned for content that is no SQLite database.
var ErrFormat = errors.New("no SQLite database")

// Problem is something that could not be read.
type Problem struct {
	// Where names the row or page; What says what is wrong.
	Where, What string
}

func (p Problem) String() string { return p.Where + ": " + p.What }

// What one database may cost.
const (
	maxRow      = 32 << 20 // bytes of one row
	maxTables   = 1000
	maxDepth    = 40 // pages from the root of a table to its rows
	maxProblems = 20
)

// IsDatabase reports whether content that starts so is a SQLite database.
func IsDatabase(head []byte) bool { return bytes.HasPrefix(head, []byte("SQLite format 3\x00")) }

// File is a database.
type File struct {
	r                       io.ReaderAt
	size                    int64
	pageSize, usable, pages int64
	tables                  []*Table
	problems                []Problem
	row                     []byte // one that is larger than a page
	buffers                 [][]byte
	visited                 map[int64]bool
	// allowance is how many bytes may be read still: things that overlap, or
	// lead to each other, must not cost more than the database is worth.
	allowance int64
}

// errEnough ends the reading without an error.
var errEnough = errors.New("enough")

// Open reads the header and the list of tables. The error is ErrFormat or the
// reader's.
func Open(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, min(100, max(size, 0)))
	if n, err := r.ReadAt(head, 0); n < len(head) && err != nil && err != io.EOF {
		return nil, err
	}
	if !IsDatabase(head) {
		return nil, ErrFormat
	}
	// Nothing of a sound table is read twice; tables are read one by one.
	f := &File{r: r, size: size, allowance: 4*size + 1<<20}
	if len(head) < 100 {
		f.problem("header", "it is cut off")
		return f, nil
	}
	if f.pageSize = int64(binary.BigEndian.Uint16(head[16:])); f.pageSize == 1 {
		f.pageSize = 65536
	}
	f.usable = f.pageSize - int64(head[20])
	if f.pageSize < 512 || f.pageSize&(f.pageSize-1) != 0 || f.usable < 480 {
		f.problem("header", "pages of %d bytes, %d of them reserved", f.pageSize, head[20])
		return f, nil
	}
	f.pages = (f.size + f.pageSize - 1) / f.pageSize
	err := f.walk(1, func(_ int64, record []byte) error {
		columns, ok := columnsOf(record)
		if !ok || len(columns) < 4 || columns[0].Text() != "table" {
			return nil
		}
		if len(f.tables) == maxTables {
			f.problem("schema", "only the first %d tables are read", maxTables)
			return errEnough
		}
		t := &Table{file: f, Name: columns[1].Text(), root: columns[3].Int()}
		if len(columns) > 4 {
			t.columns, t.alias = declared(columns[4].Text())
		}
		f.tables = append(f.tables, t)
		return nil
	})
	return f, err
}

// Problems are what could not be read so far, 20 at most.
func (f *File) Problems() []Problem { return f.problems }

// Table is the table called name, nil where there is none.
func (f *File) Table(name string) *Table {
	for _, t := range f.tables {
		if strings.EqualFold(t.Name, name) {
			return t
		}
	}
	return nil
}

func (f *File) problem(where, format string, args ...any) {
	if len(f.problems) < maxProblems {
		f.problems = append(f.problems, Problem{where, fmt.Sprintf(format, args...)})
	}
}

// read fills b from the offset; ok is false where the database ends before.
func (f *File) read(b []byte, offset int64) (ok bool, err error) {
	if offset < 0 || offset > f.size-int64(len(b)) {
		return false, nil
	}
	if err := f.spend(int64(len(b))); err != nil {
		return false, err
	}
	if n, err := f.r.ReadAt(b, offset); n < len(b) {
		if err == io.EOF || err == nil {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

func (f *File) spend(n int64) error {
	if f.allowance -= n; f.allowance < 0 {
		f.problem("database", "its parts overlap: the rest is not read")
		return errEnough
	}
	return nil
}

// Table is a table with row ids.
type Table struct {
	Name string

	file    *File
	root    int64
	columns []string
	alias   int // the column that is the row's id; -1 where none is
}

// Column is the place of a column in a row, -1 where the table has none of the name.
func (t *Table) Column(name string) int {
	for i, c := range t.columns {
		if strings.EqualFold(c, name) {
			return i
		}
	}
	return -1
}

// Rows visits all rows in the order of their ids. A row is valid until visit
// returns. The error is the reader's or visit's; damage is told in Problems.
func (t *Table) Rows(visit func(Row) error) error {
	return t.file.walk(t.root, func(id int64, record []byte) error {
		values, ok := columnsOf(record)
		if !ok {
			t.file.problem(fmt.Sprintf("row %d", id), "it is no row of %s", t.Name)
			return nil
		}
		return visit(Row{ID: id, values: values, alias: t.alias})
	})
}

// Row is one row.
type Row struct {
	ID     int64
	values []Value
	alias  int
}

// Value is the value of the column at a place; null where there is none.
func (r Row) Value(i int) Value {
	if i < 0 || i >= len(r.values) {
		return Value{}
	}
	if i == r.alias { // stored as null
		return Value{kind: kindID, id: r.ID}
	}
	return r.values[i]
}

// Value is a value as it is stored.
type Value struct {
	kind    int64
	content []byte
	id      int64
}

const kindID = -1

// Text is a text, "" for everything else.
func (v Value) Text() string {
	if v.kind < 13 || v.kind%2 == 0 {
		return ""
	}
	return string(v.content)
}

// Bytes are those of a text or a blob, nil for everything else.
func (v Value) Bytes() []byte {
	if v.kind < 12 {
		return nil
	}
	return v.content
}

// Int is an integer, 0 for everything else.
func (v Value) Int() (n int64) {
	switch {
	case v.kind == kindID:
		return v.id
	case v.kind == 9:
		return 1
	case v.kind < 1 || v.kind > 6:
		return 0
	}
	for i, b := range v.content {
		if i == 0 {
			n = int64(int8(b))
			continue
		}
		n = n<<8 | int64(b)
	}
	return n
}

// columnsOf cuts a record into its columns; the first 32, for no more matter.
func columnsOf(record []byte) ([]Value, bool) {
	size, n := varint(record)
	if n == 0 || size < int64(n) || size > int64(len(record)) {
		return nil, false
	}
	types, content := record[n:size], record[size:]
	list := make([]Value, 0, 8)
	for len(types) > 0 && len(list) < 32 {
		kind, n := varint(types)
		if n == 0 || kind < 0 {
			return nil, false
		}
		types = types[n:]
		size := (kind - 12) / 2
		if kind < 12 {
			size = [...]int64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}[kind]
		}
		if size > int64(len(content)) {
			return nil, false
		}
		list = append(list, Value{kind: kind, content: content[:size]})
		content = content[size:]
	}
	return list, true
}

// declared reads the names of the columns of a CREATE TABLE statement, and which
// of them is another name of the row's id: an "integer primary key".
func declared(statement string) (names []string, alias int) {
	alias = -1
	_, body, ok := strings.Cut(uncommented(statement), "(")
	if !ok {
		return nil, alias
	}
	depth, start := 0, 0
	add := func(definition string) {
		words := strings.Fields(definition)
		if len(words) == 0 || len(names) == 32 {
			return
		}
		switch strings.ToUpper(words[0]) {
		case "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
			return // of the table
		}
		if strings.HasPrefix(strings.ToUpper(strings.Join(words[1:], " ")), "INTEGER PRIMARY KEY") {
			alias = len(names)
		}
		names = append(names, strings.Trim(words[0], "\"`[]'"))
	}
	for i := range len(body) {
		switch c := body[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ',' && depth == 0, c == ')':
			add(body[start:i])
			start = i + 1
			if c == ')' {
				return names, alias
			}
		}
	}
	return names, alias
}

// uncommented is a statement without what SQLite keeps of its comments.
func uncommented(statement string) string {
	var b strings.Builder
	for {
		start := strings.Index(statement, "/*")
		if line := strings.Index(statement, "--"); line >= 0 && (start < 0 || line < start) {
			b.WriteString(statement[:line])
			_, statement, _ = strings.Cut(statement[line:], "\n")
			b.WriteByte('\n')
			continue
		}
		if start < 0 {
			b.WriteString(statement)
			return b.String()
		}
		b.WriteString(statement[:start])
		_, statement, _ = strings.Cut(statement[start+2:], "*/")
		b.WriteByte(' ')
	}
}
