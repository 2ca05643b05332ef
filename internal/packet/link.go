package packet

func (d *Decoder) decodeLink(data []byte, p *Packet) {
	p.Mark = MarkUnknownLink
	p.Key.PortA, p.Key.PortB = uint16(d.linkType), uint16(d.linkType)
}
