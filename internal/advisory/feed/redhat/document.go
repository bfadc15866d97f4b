package redhat

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// The bounds of one document. The largest that Red Hat publishes have some
// 100,000 products.
const (
	maxDepth           = 16      // of branches, and of products that are components of others
	maxIDs             = 400_000 // of products
	maxEntries         = 2_000_000
	maxVulnerabilities = 100
)

// document is what is kept of a document of the profile VEX of CSAF 2.0,
// https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html#45-profile-5-vex.
// Products are numbered by their ids.
type document struct {
	category, version string
	tracking          tracking
	severity          string
	numbers           map[string]int32
	products          []product
	vulnerabilities   []*vulnerability
	entries           int
}

type tracking struct {
	ID      string     `json:"id"`
	Initial string     `json:"initial_release_date"`
	History []revision `json:"revision_history"`
}

type revision struct {
	Date    string `json:"date"`
	Summary string `json:"summary"`
}

// product is a product, a component, or a component of a product.
type product struct {
	id, cpe, purl string
	// component and of are set where it is one of the other.
	component, of int32
}

const none = int32(-1)

// vulnerability is what is kept of a member of vulnerabilities.
type vulnerability struct {
	cve, weakness string
	published     string
	notes         map[string]string // by category
	references    []string
	vectors       []string
	status        map[string][]int32 // products by status
	remediations  []remediation
	impacts       []claim // severities
	flags         []claim
}

// remediation is what is done, or not, about products.
type remediation struct {
	category, details, url string
	products               []int32
}

// claim is a word on products.
type claim struct {
	word     string
	products []int32
}

// reader reads a document in one pass.
type reader struct {
	json    *feed.Decoder
	doc     *document
	skipped *feed.Skipped
}

func readDocument(r io.Reader, skipped *feed.Skipped) (*document, error) {
	in := reader{json: feed.NewDecoder(r), doc: &document{numbers: make(map[string]int32)}, skipped: skipped}
	err := in.json.Object(func(name string) error {
		return in.within(name, func() error {
			switch name {
			case "document":
				return in.metadata()
			case "product_tree":
				return in.tree()
			case "vulnerabilities":
				return in.json.Array(in.vulnerability)
			}
			return in.pass()
		})
	})
	if err == nil {
		err = in.json.End()
	}
	if err == nil && (in.doc.category != "csaf_vex" || !strings.HasPrefix(in.doc.version, "2.")) {
		err = fmt.Errorf("byte %d: the document is no csaf_vex of version 2, but %q of %q", in.json.Offset(), in.doc.category, in.doc.version)
	}
	if err != nil {
		return nil, err
	}
	return in.doc, nil
}

// within says where a value has another type than wanted.
func (in *reader) within(name string, read func() error) error {
	err := read()
	if errors.Is(err, feed.ErrShape) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}

// ignored is a value that is read and not kept.
type ignored struct{}

func (*ignored) UnmarshalJSON([]byte) error { return nil }

// pass passes over a value.
func (in *reader) pass() error { return in.json.Value(new(ignored)) }

// optional reads a value without which the document is still worth something.
func (in *reader) optional(name string, v any) error {
	err := in.json.Value(v)
	if errors.Is(err, feed.ErrShape) {
		in.skipped.Add(in.doc.tracking.ID+" "+name, err.Error())
		return nil
	}
	return err
}

func (in *reader) metadata() error {
	return in.json.Object(func(name string) error {
		return in.within(name, func() error {
			switch name {
			case "category":
				return in.json.Value(&in.doc.category)
			case "csaf_version":
				return in.json.Value(&in.doc.version)
			case "tracking":
				return in.json.Value(&in.doc.tracking)
			case "aggregate_severity":
				var severity struct {
					Text string `json:"text"`
				}
				err := in.optional(name, &severity)
				in.doc.severity = severity.Text
				return err
			}
			return in.pass()
		})
	})
}

// fullProduct is a full_product_name_t.
type fullProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
}

func (in *reader) tree() error {
	return in.json.Object(func(name string) error {
		return in.within(name, func() error {
			switch name {
			case "branches":
				return in.branches(0)
			case "full_product_names":
				return in.json.Array(in.product)
			case "relationships":
				return in.json.Array(in.relationship)
			}
			return in.pass()
		})
	})
}

func (in *reader) branches(depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("byte %d: branches are nested more than %d deep", in.json.Offset(), maxDepth)
	}
	return in.json.Array(func() error {
		return in.json.Object(func(name string) error {
			return in.within(name, func() error {
				switch name {
				case "branches":
					return in.branches(depth + 1)
				case "product":
					return in.product()
				}
				return in.pass()
			})
		})
	})
}

func (in *reader) product() error {
	var full fullProduct
	if err := in.json.Value(&full); err != nil {
		return err
	}
	n, err := in.number(full.ID)
	if err != nil {
		return err
	}
	if p := &in.doc.products[n]; p.cpe == "" && p.purl == "" { // of two with one id the first that says anything counts
		p.cpe, p.purl = full.Helper.CPE, full.Helper.PURL
	}
	return nil
}

func (in *reader) relationship() error {
	var relation struct {
		Full      fullProduct `json:"full_product_name"`
		Component string      `json:"product_reference"`
		Of        string      `json:"relates_to_product_reference"`
	}
	if err := in.json.Value(&relation); err != nil {
		return err
	}
	n, err := in.number(relation.Full.ID)
	if err != nil {
		return err
	}
	component, err := in.number(relation.Component)
	if err != nil {
		return err
	}
	of, err := in.number(relation.Of)
	if err != nil {
		return err
	}
	if p := &in.doc.products[n]; p.of == none {
		p.component, p.of = component, of
	}
	return nil
}

// number is that of a product's id.
func (in *reader) number(id string) (int32, error) {
	if n, known := in.doc.numbers[id]; known {
		return n, nil
	}
	if id == "" {
		return none, fmt.Errorf("byte %d: a product has no id", in.json.Offset())
	}
	if len(in.doc.products) == maxIDs {
		return none, fmt.Errorf("byte %d: more than %d products", in.json.Offset(), maxIDs)
	}
	n := int32(len(in.doc.products))
	in.doc.numbers[id] = n
	in.doc.products = append(in.doc.products, product{id: id, component: none, of: none})
	return n, nil
}

// count bounds what is kept besides the products.
func (in *reader) count(n int) error {
	if in.doc.entries += n; in.doc.entries > maxEntries {
		return fmt.Errorf("byte %d: more than %d entries in lists", in.json.Offset(), maxEntries)
	}
	return nil
}

// list reads ids of products. Most lists hold nearly all of them.
func (in *reader) list() ([]int32, error) {
	var ids []string
	if err := in.json.Value(&ids); err != nil {
		return nil, err
	}
	if err := in.count(len(ids)); err != nil {
		return nil, err
	}
	numbers := make([]int32, len(ids))
	for i, id := range ids {
		n, err := in.number(id)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	return numbers, nil
}
