package fleet

func (n *memNode) start() error   { return nil }
func (n *memNode) serve([]string) {}
func (n *memNode) close()         {}
