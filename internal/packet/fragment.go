package packet

type fragTable struct{}

func (t *fragTable) init(int) {}
