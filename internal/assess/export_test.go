package assess

// Answers counts the answers that a gate remembers.
func (g *Gate) Answers() int {
	n := 0
	g.answers.Range(func(any, any) bool { n++; return true })
	return n
}
