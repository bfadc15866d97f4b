package inventory

import (
	"path"
	"strings"
)

// links are symbolic links by the path at which they stand. Looking at a path costs
// no more than reading it, whatever the links are.
type links struct {
	root  linkNode
	count int
}

// linkNode is a path at which, or below which, there are links.
type linkNode struct {
	below  map[string]*linkNode
	target string // as it stands; "" where it is no link
}

// What following links may take: as many as Linux follows, and its PATH_MAX.
const (
	maxFollowed = 40
	maxPath     = 4096
)

// set puts a link at p, in the place of one that is there.
func (l *links) set(p, target string) {
	if target == "" || p == "." {
		return
	}
	n := &l.root
	for name := range strings.SplitSeq(p, "/") {
		next := n.below[name]
		if next == nil {
			if n.below == nil {
				n.below = make(map[string]*linkNode)
			}
			next = new(linkNode)
			n.below[name] = next
		}
		n = next
	}
	if n.target == "" {
		l.count++
	}
	n.target = target
}

// remove takes away the link at p and, where all is true, those below it.
func (l *links) remove(p string, all bool) {
	parent, name, n := &l.root, "", &l.root
	if p != "." {
		for part := range strings.SplitSeq(p, "/") {
			if parent, name = n, part; parent.below[name] == nil {
				return
			}
			n = parent.below[name]
		}
	}
	if n.target != "" {
		n.target = ""
		l.count--
	}
	if all {
		l.count -= n.number()
		n.below = nil
	}
	if len(n.below) == 0 && p != "." {
		delete(parent.below, name)
	}
}

// clear takes away the links below p, but not that at p.
func (l *links) clear(p string) {
	target := l.at(p)
	l.remove(p, true)
	l.set(p, target)
}

// number counts the links below a path.
func (n *linkNode) number() (count int) {
	for _, next := range n.below {
		if next.target != "" {
			count++
		}
		count += next.number()
	}
	return count
}

// at is the target of the link at exactly p, "" where there is none.
func (l *links) at(p string) string {
	n := &l.root
	for part := range strings.SplitSeq(p, "/") {
		if n = n.below[part]; n == nil {
			return ""
		}
	}
	return n.target
}

// all yields every link with its target, in no order.
func (l *links) all(yield func(p, target string) bool) { l.root.all("", yield) }

func (n *linkNode) all(p string, yield func(p, target string) bool) bool {
	if n.target != "" && !yield(p, n.target) {
		return false
	}
	for name, next := range n.below {
		if !next.all(strings.TrimPrefix(p+"/"+name, "/"), yield) {
			return false
		}
	}
	return true
}

// resolve replaces links among the directories above p.
func (l *links) resolve(p string) string {
	at := strings.LastIndexByte(p, '/')
	if at < 0 || l.count == 0 {
		return p
	}
	dir := l.follow(p[:at])
	if len(dir) == at && dir == p[:at] {
		return p
	}
	if dir == "." {
		return p[at+1:]
	}
	return dir + p[at:]
}

// follow replaces links in p, the last part too. Links end at the root. Where they
// lead in a circle, or to what is too long to be a path, it is p.
func (l *links) follow(p string) string {
	// Most paths have no link in them.
	n := &l.root
	for rest := p; l.count > 0; {
		name, more, further := strings.Cut(rest, "/")
		if n = n.below[name]; n == nil {
			return p
		}
		if n.target != "" {
			return l.followSlowly(p)
		}
		if !further {
			return p
		}
		rest = more
	}
	return p
}

func (l *links) followSlowly(p string) string {
	type step struct {
		node   *linkNode // nil where no links are
		length int       // of the path before it
	}
	out, at := make([]byte, 0, 2*len(p)), []step{{node: &l.root}}
	followed := 0
	for rest := p; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			if len(at) > 1 {
				out = out[:at[len(at)-1].length]
				at = at[:len(at)-1]
			}
			continue
		}
		var next *linkNode
		if here := at[len(at)-1].node; here != nil {
			next = here.below[name]
		}
		if next != nil && next.target != "" {
			if followed++; followed > maxFollowed || len(next.target)+len(rest) > maxPath {
				return p
			}
			if path.IsAbs(next.target) {
				out, at = out[:0], at[:1]
			}
			rest = next.target + "/" + rest
			continue
		}
		at = append(at, step{next, len(out)})
		if len(out) > 0 {
			out = append(out, '/')
		}
		if out = append(out, name...); len(out) > maxPath {
			return p
		}
	}
	if len(out) == 0 {
		return "."
	}
	return string(out)
}
