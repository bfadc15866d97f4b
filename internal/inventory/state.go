package inventory

// State is the outcome of a layer's analysis, where there is one.
type State struct {
	// Failed says why the layer cannot be read; "" where it was read.
	Failed string
}
