package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// csaf is the part of a CSAF 2.0 document that matters here
// (https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html, 3.2).
type csaf struct {
	Document struct {
		Category  string `json:"category"`
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			ID      string `json:"id"`
			Version string `json:"version"`
			Current string `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree            csafTree            `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafTree struct {
	Branches []csafBranch  `json:"branches"`
	Names    []csafProduct `json:"full_product_names"`
	Groups   []struct {
		ID       string   `json:"group_id"`
		Products []string `json:"product_ids"`
	} `json:"product_groups"`
	Relationships []struct {
		Product   csafProduct `json:"full_product_name"`
		Component string      `json:"product_reference"`
		Of        string      `json:"relates_to_product_reference"`
	} `json:"relationships"`
}

type csafBranch struct {
	Branches []csafBranch `json:"branches"`
	Product  *csafProduct `json:"product"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		PURL   string   `json:"purl"`
		PURLs  []string `json:"purls"` // of CSAF 2.1
		Hashes []struct {
			Hashes []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
}

type csafVulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status map[string][]string `json:"product_status"`
	Flags  []struct {
		Label string `json:"label"`
		csafReach
	} `json:"flags"`
	Threats []struct {
		Category string `json:"category"`
		Details  string `json:"details"`
		csafReach
	} `json:"threats"`
	Remediations []struct {
		Details string `json:"details"`
		csafReach
	} `json:"remediations"`
}

// csafReach says which products something is about; all where it names none.
type csafReach struct {
	Products []string `json:"product_ids"`
	Groups   []string `json:"group_ids"`
}

// errLarge says that few bytes stand for too much.
var errLarge = errors.New("its products stand for too many others")

// csafProducts are the products of a tree by the document's identifiers.
type csafProducts struct {
	products map[string][]Product
	groups   map[string][]string
	// budget is how many names may still be written out: relationships, groups
	// and lists can multiply.
	budget int
}

// spend reports whether n more names may be written out.
func (all *csafProducts) spend(n int) bool {
	all.budget -= n
	return all.budget >= 0
}

func (t csafTree) products() (*csafProducts, error) {
	all := &csafProducts{products: make(map[string][]Product), groups: make(map[string][]string), budget: 500_000}
	add := func(p csafProduct) {
		for _, purl := range append([]string{p.Helper.PURL}, p.Helper.PURLs...) {
			if purl != "" {
				all.products[p.ID] = append(all.products[p.ID], Product{ID: purl})
			}
		}
		for _, file := range p.Helper.Hashes {
			for _, h := range file.Hashes {
				if strings.EqualFold(h.Algorithm, "sha256") {
					all.products[p.ID] = append(all.products[p.ID], Product{ID: "sha256:" + strings.ToLower(h.Value)})
				}
			}
		}
	}
	for _, p := range t.Names {
		add(p)
	}
	for open := slices.Clone(t.Branches); len(open) > 0; {
		last := open[len(open)-1]
		open = append(open[:len(open)-1], last.Branches...)
		if last.Product != nil {
			add(*last.Product)
		}
	}
	for _, r := range t.Relationships {
		if !all.spend(len(all.products[r.Component]) * max(1, len(all.products[r.Of]))) {
			return nil, errLarge
		}
		all.products[r.Product.ID] = append(all.products[r.Product.ID], all.related(r.Component, r.Of)...)
		add(r.Product)
	}
	for _, g := range t.Groups {
		all.groups[g.ID] = g.Products
	}
	return all, nil
}

// related is a component of a product: of an image it is a subcomponent, of
// anything else, such as an operating system, it is the component that is meant.
func (all *csafProducts) related(component, of string) []Product {
	var subcomponents []string
	for _, c := range all.products[component] {
		subcomponents = append(subcomponents, c.ID)
	}
	var list []Product
	for _, product := range all.products[of] {
		if isImage(product.ID) && len(subcomponents) > 0 {
			list = append(list, Product{ID: product.ID, Subcomponents: subcomponents})
		}
	}
	if len(list) > 0 {
		return list
	}
	return all.products[component]
}

// firsts answers, for each product, which of several things about products is
// the first about it.
type firsts struct {
	of map[string]int
	// every is the first that is about all products, -1 where none is.
	every int
}

func (all *csafProducts) firsts(reaches []csafReach) (firsts, error) {
	f := firsts{make(map[string]int), -1}
	for i, r := range reaches {
		if len(r.Products) == 0 && len(r.Groups) == 0 {
			if f.every < 0 {
				f.every = i
			}
			continue
		}
		for _, group := range append([][]string{r.Products}, all.lists(r.Groups)...) {
			if !all.spend(len(group)) {
				return f, errLarge
			}
			for _, id := range group {
				if _, ok := f.of[id]; !ok {
					f.of[id] = i
				}
			}
		}
	}
	return f, nil
}

func (all *csafProducts) lists(groups []string) (lists [][]string) {
	for _, g := range groups {
		lists = append(lists, all.groups[g])
	}
	return lists
}

// about is the index for a product, -1 where there is none.
func (f firsts) about(id string) int {
	i, ok := f.of[id]
	switch {
	case !ok:
		return f.every
	case f.every >= 0:
		return min(i, f.every)
	}
	return i
}

// csafStatuses are the members of product_status that VEX knows (4.5), in the
// order in which they are read; what is recommended says nothing of being affected.
var csafStatuses = []struct {
	member string
	status Status
}{
	{"known_not_affected", NotAffected}, {"fixed", Fixed}, {"first_fixed", Fixed},
	{"known_affected", Affected}, {"first_affected", Affected}, {"last_affected", Affected},
	{"under_investigation", UnderInvestigation},
}

func readCSAF(content []byte) (parsed, error) {
	var d csaf
	if err := json.Unmarshal(content, &d); err != nil {
		return parsed{}, fmt.Errorf("CSAF: %w", err)
	}
	if c := d.Document.Category; c != "csaf_vex" && c != "csaf_security_advisory" {
		return parsed{}, fmt.Errorf("%w: a CSAF document of category %q", ErrNotVEX, clip(c, maxName))
	}
	t := d.Document.Tracking
	p := parsed{Document: Document{
		ID: t.ID, Author: d.Document.Publisher.Name, Format: FormatCSAF, Version: t.Version, Issued: moment(t.Current),
	}}
	products, err := d.Tree.products()
	if err != nil {
		return parsed{}, fmt.Errorf("CSAF: %w", err)
	}
	for _, v := range d.Vulnerabilities {
		list, err := v.statements(products)
		if err != nil {
			return parsed{}, fmt.Errorf("CSAF: %s: %w", clip(v.CVE, maxName), err)
		}
		p.statements = append(p.statements, list...)
	}
	return p, nil
}

// statements are those on a vulnerability: one for all products of which the
// same is said.
func (v csafVulnerability) statements(all *csafProducts) ([]Statement, error) {
	base := Statement{Vulnerability: v.CVE}
	for _, id := range v.IDs {
		if base.Vulnerability == "" {
			base.Vulnerability = id.Text
		} else {
			base.Aliases = append(base.Aliases, id.Text)
		}
	}
	var reaches [3][]csafReach
	var texts [3][]string
	for _, f := range v.Flags {
		reaches[0], texts[0] = append(reaches[0], f.csafReach), append(texts[0], f.Label)
	}
	for _, t := range v.Threats {
		if t.Category == "impact" {
			reaches[1], texts[1] = append(reaches[1], t.csafReach), append(texts[1], t.Details)
		}
	}
	for _, r := range v.Remediations {
		reaches[2], texts[2] = append(reaches[2], r.csafReach), append(texts[2], r.Details)
	}
	var about [3]firsts
	for i := range reaches {
		var err error
		if about[i], err = all.firsts(reaches[i]); err != nil {
			return nil, err
		}
	}
	type key struct {
		status Status
		texts  [3]int
	}
	var list []Statement
	index := make(map[key]int)
	for _, kind := range csafStatuses {
		for _, id := range v.Status[kind.member] {
			k := key{status: kind.status}
			for i := range about {
				k.texts[i] = about[i].about(id)
			}
			at, ok := index[k]
			if !ok {
				at = len(list)
				index[k] = at
				s := base
				s.Status = kind.status
				for i, into := range []*string{&s.Justification, &s.Impact, &s.Action} {
					if n := k.texts[i]; n >= 0 {
						*into = texts[i][n]
					}
				}
				list = append(list, s)
			}
			named := all.products[id]
			if len(named) == 0 {
				// A statement without products would be taken for one on the
				// image that the document is attached to.
				named = []Product{{ID: id}}
			}
			if !all.spend(len(named)) {
				return nil, errLarge
			}
			list[at].Products = append(list[at].Products, named...)
		}
	}
	return list, nil
}
