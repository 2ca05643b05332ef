package spi

// The core fields: what every session has or may have, whatever its protocol.
// Their ids are constants, the same in every registry.
const (
	ID                  FieldID = iota // id
	RootID                             // rootId
	Node                               // node
	Lane                               // lane
	FilePath                           // file.path
	FirstPacket                        // firstPacket
	LastPacket                         // lastPacket
	PacketRangeGTE                     // packetRange.gte
	PacketRangeLTE                     // packetRange.lte
	Length                             // length
	SegmentCount                       // segmentCnt
	IPProtocol                         // ipProtocol
	EtherType                          // ethertype
	Protocol                           // protocol
	Tags                               // tags
	User                               // user
	SourceIP                           // source.ip
	SourcePort                         // source.port
	SourceMAC                          // source.mac
	SourcePackets                      // source.packets
	SourceBytes                        // source.bytes
	SourceCountry                      // source.geo.country_iso_code
	SourceASN                          // source.as.number
	SourceASOrg                        // source.as.organization.name
	SourceASFull                       // source.as.full
	ClientBytes                        // client.bytes
	DestinationIP                      // destination.ip
	DestinationPort                    // destination.port
	DestinationMAC                     // destination.mac
	DestinationPackets                 // destination.packets
	DestinationBytes                   // destination.bytes
	DestinationCountry                 // destination.geo.country_iso_code
	DestinationASN                     // destination.as.number
	DestinationASOrg                   // destination.as.organization.name
	DestinationASFull                  // destination.as.full
	ServerBytes                        // server.bytes
	NetworkPackets                     // network.packets
	NetworkBytes                       // network.bytes
	TotalDataBytes                     // totDataBytes
	CommunityID                        // network.community_id
	VLAN                               // network.vlan.id
	Dot1Q                              // dot1q.id
	Dot1AD                             // dot1ad.id
	VNI                                // vni
	SourceOuterIP                      // srcOuterIp
	DestinationOuterIP                 // dstOuterIp
	SourceOuterMAC                     // srcOuterMac
	DestinationOuterMAC                // dstOuterMac
	SourceTTL                          // srcTTL
	DestinationTTL                     // dstTTL
	SourceDSCP                         // srcDscp
	DestinationDSCP                    // dstDscp
	SourcePayload8                     // srcPayload8
	DestinationPayload8                // dstPayload8
	InitRTT                            // initRTT
	SourceISNCount                     // srcISNCnt
	TCPSynValidated                    // tcpSynValidated
	TCPSynAckValidated                 // tcpSynAckValidated
	FlagsSYN                           // tcpflags.syn
	FlagsSYNACK                        // tcpflags.syn-ack
	FlagsACK                           // tcpflags.ack
	FlagsPSH                           // tcpflags.psh
	FlagsRST                           // tcpflags.rst
	FlagsFIN                           // tcpflags.fin
	FlagsURG                           // tcpflags.urg
	FlagsECE                           // tcpflags.ece
	FlagsCWR                           // tcpflags.cwr
	FlagsAE                            // tcpflags.ae
	FlagsSrcZero                       // tcpflags.srcZero
	FlagsDstZero                       // tcpflags.dstZero
	TCPSeqSource                       // tcpseq.src
	TCPSeqDestination                  // tcpseq.dst
	CaptureLoss                        // capture.loss
	CaptureCut                         // capture.cut
	ChunkKey                           // chunk.key
	ChunkLinkType                      // chunk.linktype
	ChunkOffset                        // chunk.offset
	ChunkLength                        // chunk.length
	ChunkSkip                          // chunk.skip
	ChunkSize                          // chunk.size
	ChunkPackets                       // chunk.packets
	PacketComment                      // packet.comment
	RuleName                           // rule.name
	IndicatorList                      // indicator.list
	IndicatorEntry                     // indicator.entry
)

// ChunkList is the list of objects that say where a session's packets are: one
// object for each run of frames of a chunk.
const ChunkList ListID = 1

// declareCore declares the core fields, in the order of their constants.
func (r *Registry) declareCore() {
	r.Objects("chunk")
	for i, f := range coreFields() {
		if id := r.Declare(f); id != FieldID(i) {
			panic("spi: core fields out of order at " + f.Path)
		}
	}
}

func coreFields() []Field {
	return []Field{
		{Path: "id", Type: Term, Exprs: []string{"id"}, Hot: true, Bloom: true, Group: "general", Name: "Session id", Help: "id of the session: day of its first packet and a hash of lane, flow and time"},
		{Path: "rootId", Type: Term, Exprs: []string{"rootId"}, Bloom: true, Group: "general", Name: "Root id", Help: "id of the first segment of a session that was saved in several"},
		{Path: "node", Type: Term, Exprs: []string{"node"}, Hot: true, Group: "general", Name: "Sensor", Help: "sensor that captured the session"},
		{Path: "lane", Type: Term, Exprs: []string{"lane"}, Group: "general", Name: "Lane", Help: "ordered stream of chunks that holds the session"},
		{Path: "file.path", Type: Term, List: true, Exprs: []string{"file"}, Hot: true, Group: "general", Name: "File", Help: "path of the capture file the session was imported from"},
		{Path: "firstPacket", Type: Date, Exprs: []string{"starttime"}, Hot: true, Group: "general", Name: "Start time", Help: "time of the first packet"},
		{Path: "lastPacket", Type: Date, Exprs: []string{"stoptime"}, Hot: true, Group: "general", Name: "Stop time", Help: "time of the last packet"},
		{Path: "packetRange.gte", Type: Date, Group: "general", Name: "Packet range start", Help: "the earlier of first and last packet"},
		{Path: "packetRange.lte", Type: Date, Group: "general", Name: "Packet range end", Help: "the later of first and last packet"},
		{Path: "length", Type: Integer, Exprs: []string{"session.length"}, Hot: true, Group: "general", Name: "Session length", Help: "time between first and last packet, ms"},
		{Path: "segmentCnt", Type: Integer, Exprs: []string{"session.segments"}, Group: "general", Name: "Segments", Help: "number of documents saved for the session so far"},
		{Path: "ipProtocol", Type: Integer, Exprs: []string{"ip.protocol"}, Hot: true, Group: "general", Name: "IP protocol", Help: "IP protocol number, or its name in a search"},
		{Path: "ethertype", Type: Integer, Exprs: []string{"ethertype"}, Group: "general", Name: "Ethertype", Help: "Ethernet type of the packets"},
		{Path: "protocol", Type: Term, List: true, Exprs: []string{"protocols", "protocol"}, Hot: true, Group: "general", Name: "Protocols", Help: "protocols recognized in the session"},
		{Path: "tags", Type: Term, List: true, Exprs: []string{"tags"}, Hot: true, Group: "general", Name: "Tags", Help: "marks set on the session"},
		{Path: "user", Type: LoTerm, List: true, Exprs: []string{"user"}, Hot: true, Group: "general", Name: "User", Help: "user names from any protocol"},
		{Path: "source.ip", Type: IP, Exprs: []string{"ip.src"}, Hot: true, Bloom: true, Port: "source.port", Group: "general", Name: "Src IP", Help: "address of the side that began"},
		{Path: "source.port", Type: Integer, Exprs: []string{"port.src"}, Hot: true, Group: "general", Name: "Src port", Help: "port of the source, 0 without ports"},
		{Path: "source.mac", Type: LoTerm, List: true, Exprs: []string{"mac.src"}, Group: "general", Name: "Src MAC", Help: "MAC addresses the source sent from"},
		{Path: "source.packets", Type: Integer, Exprs: []string{"packets.src"}, Hot: true, Group: "general", Name: "Src packets", Help: "packets from the source"},
		{Path: "source.bytes", Type: Integer, Exprs: []string{"bytes.src"}, Hot: true, Group: "general", Name: "Src bytes", Help: "bytes on the wire from the source"},
		{Path: "source.geo.country_iso_code", Type: UpTerm, Exprs: []string{"country.src"}, Hot: true, Group: "general", Name: "Src country", Help: "country of the source, two letters"},
		{Path: "source.as.number", Type: Integer, Exprs: []string{"asn.src.number"}, Group: "general", Name: "Src ASN number", Help: "autonomous system number of the source"},
		{Path: "source.as.organization.name", Type: Term, Exprs: []string{"asn.src.org"}, Group: "general", Name: "Src ASN name", Help: "autonomous system organization of the source"},
		{Path: "source.as.full", Type: Term, Exprs: []string{"asn.src"}, Hot: true, Group: "general", Name: "Src ASN", Help: "autonomous system of the source, number and name"},
		{Path: "client.bytes", Type: Integer, Exprs: []string{"databytes.src"}, Hot: true, Group: "general", Name: "Src data bytes", Help: "payload bytes from the source"},
		{Path: "destination.ip", Type: IP, Exprs: []string{"ip.dst"}, Hot: true, Bloom: true, Port: "destination.port", Group: "general", Name: "Dst IP", Help: "address of the side that was called"},
		{Path: "destination.port", Type: Integer, Exprs: []string{"port.dst"}, Hot: true, Group: "general", Name: "Dst port", Help: "port of the destination, 0 without ports"},
		{Path: "destination.mac", Type: LoTerm, List: true, Exprs: []string{"mac.dst"}, Group: "general", Name: "Dst MAC", Help: "MAC addresses the destination sent from"},
		{Path: "destination.packets", Type: Integer, Exprs: []string{"packets.dst"}, Hot: true, Group: "general", Name: "Dst packets", Help: "packets from the destination"},
		{Path: "destination.bytes", Type: Integer, Exprs: []string{"bytes.dst"}, Hot: true, Group: "general", Name: "Dst bytes", Help: "bytes on the wire from the destination"},
		{Path: "destination.geo.country_iso_code", Type: UpTerm, Exprs: []string{"country.dst"}, Hot: true, Group: "general", Name: "Dst country", Help: "country of the destination, two letters"},
		{Path: "destination.as.number", Type: Integer, Exprs: []string{"asn.dst.number"}, Group: "general", Name: "Dst ASN number", Help: "autonomous system number of the destination"},
		{Path: "destination.as.organization.name", Type: Term, Exprs: []string{"asn.dst.org"}, Group: "general", Name: "Dst ASN name", Help: "autonomous system organization of the destination"},
		{Path: "destination.as.full", Type: Term, Exprs: []string{"asn.dst"}, Hot: true, Group: "general", Name: "Dst ASN", Help: "autonomous system of the destination, number and name"},
		{Path: "server.bytes", Type: Integer, Exprs: []string{"databytes.dst"}, Hot: true, Group: "general", Name: "Dst data bytes", Help: "payload bytes from the destination"},
		{Path: "network.packets", Type: Integer, Exprs: []string{"packets"}, Hot: true, Group: "general", Name: "Packets", Help: "packets, both ways"},
		{Path: "network.bytes", Type: Integer, Exprs: []string{"bytes"}, Hot: true, Group: "general", Name: "Bytes", Help: "bytes on the wire, both ways"},
		{Path: "totDataBytes", Type: Integer, Exprs: []string{"databytes"}, Hot: true, Group: "general", Name: "Data bytes", Help: "payload bytes, both ways"},
		{Path: "network.community_id", Type: Term, Exprs: []string{"communityId"}, Hot: true, Bloom: true, Group: "general", Name: "Community ID", Help: "Community ID v1 of the flow"},
		{Path: "network.vlan.id", Type: Integer, List: true, Exprs: []string{"vlan"}, Hot: true, Group: "layer2", Name: "VLAN", Help: "VLAN ids of all tags"},
		{Path: "dot1q.id", Type: Integer, List: true, Exprs: []string{"vlan.dot1q"}, Group: "layer2", Name: "802.1Q VLAN", Help: "VLAN ids of 802.1Q tags"},
		{Path: "dot1ad.id", Type: Integer, List: true, Exprs: []string{"vlan.dot1ad"}, Group: "layer2", Name: "802.1ad VLAN", Help: "VLAN ids of 802.1ad tags"},
		{Path: "vni", Type: Integer, List: true, Exprs: []string{"vni"}, Group: "layer2", Name: "VNI", Help: "VXLAN, GENEVE or ERSPAN network ids"},
		{Path: "srcOuterIp", Type: IP, List: true, Exprs: []string{"outerip.src"}, Hot: true, Group: "layer2", Name: "Src outer IP", Help: "tunnel source addresses"},
		{Path: "dstOuterIp", Type: IP, List: true, Exprs: []string{"outerip.dst"}, Hot: true, Group: "layer2", Name: "Dst outer IP", Help: "tunnel destination addresses"},
		{Path: "srcOuterMac", Type: LoTerm, List: true, Exprs: []string{"outermac.src"}, Group: "layer2", Name: "Src outer MAC", Help: "MAC addresses of the tunnel's source"},
		{Path: "dstOuterMac", Type: LoTerm, List: true, Exprs: []string{"outermac.dst"}, Group: "layer2", Name: "Dst outer MAC", Help: "MAC addresses of the tunnel's destination"},
		{Path: "srcTTL", Type: Integer, List: true, Exprs: []string{"ttl.src"}, Group: "general", Name: "Src TTL", Help: "TTLs of the source's first packets"},
		{Path: "dstTTL", Type: Integer, List: true, Exprs: []string{"ttl.dst"}, Group: "general", Name: "Dst TTL", Help: "TTLs of the destination's first packets"},
		{Path: "srcDscp", Type: Integer, List: true, Exprs: []string{"dscp.src"}, Group: "general", Name: "Src DSCP", Help: "non-zero DSCP values from the source"},
		{Path: "dstDscp", Type: Integer, List: true, Exprs: []string{"dscp.dst"}, Group: "general", Name: "Dst DSCP", Help: "non-zero DSCP values from the destination"},
		{Path: "srcPayload8", Type: Term, Exprs: []string{"payload8.src.hex"}, Group: "general", Name: "Src payload", Help: "first 8 payload bytes of the source, hex"},
		{Path: "dstPayload8", Type: Term, Exprs: []string{"payload8.dst.hex"}, Group: "general", Name: "Dst payload", Help: "first 8 payload bytes of the destination, hex"},
		{Path: "initRTT", Type: Integer, Exprs: []string{"initRTT"}, Group: "tcp", Name: "Initial RTT", Help: "half the time of the TCP handshake, ms"},
		{Path: "srcISNCnt", Type: Integer, Exprs: []string{"tcp.srcISNCnt"}, Group: "tcp", Name: "Src ISNs", Help: "SYNs of the source with different initial sequence numbers"},
		{Path: "tcpSynValidated", Type: Term, Exprs: []string{"tcp.synValidated"}, Group: "tcp", Name: "SYN validated", Help: "the SYN's sequence number was acknowledged"},
		{Path: "tcpSynAckValidated", Type: Term, Exprs: []string{"tcp.synAckValidated"}, Group: "tcp", Name: "SYN-ACK validated", Help: "the SYN-ACK's sequence number was acknowledged"},
		{Path: "tcpflags.syn", Type: Integer, Exprs: []string{"tcpflags.syn"}, Group: "tcp", Name: "TCP SYN", Help: "packets with SYN and no ACK"},
		{Path: "tcpflags.syn-ack", Type: Integer, Exprs: []string{"tcpflags.syn-ack"}, Group: "tcp", Name: "TCP SYN-ACK", Help: "packets with SYN and ACK"},
		{Path: "tcpflags.ack", Type: Integer, Exprs: []string{"tcpflags.ack"}, Group: "tcp", Name: "TCP ACK", Help: "packets with ACK only"},
		{Path: "tcpflags.psh", Type: Integer, Exprs: []string{"tcpflags.psh"}, Group: "tcp", Name: "TCP PSH", Help: "packets with PSH"},
		{Path: "tcpflags.rst", Type: Integer, Exprs: []string{"tcpflags.rst"}, Group: "tcp", Name: "TCP RST", Help: "packets with RST"},
		{Path: "tcpflags.fin", Type: Integer, Exprs: []string{"tcpflags.fin"}, Group: "tcp", Name: "TCP FIN", Help: "packets with FIN"},
		{Path: "tcpflags.urg", Type: Integer, Exprs: []string{"tcpflags.urg"}, Group: "tcp", Name: "TCP URG", Help: "packets with URG"},
		{Path: "tcpflags.ece", Type: Integer, Exprs: []string{"tcpflags.ece"}, Group: "tcp", Name: "TCP ECE", Help: "packets with ECE"},
		{Path: "tcpflags.cwr", Type: Integer, Exprs: []string{"tcpflags.cwr"}, Group: "tcp", Name: "TCP CWR", Help: "packets with CWR"},
		{Path: "tcpflags.ae", Type: Integer, Exprs: []string{"tcpflags.ae"}, Group: "tcp", Name: "TCP AE", Help: "packets with AE"},
		{Path: "tcpflags.srcZero", Type: Integer, Exprs: []string{"tcpflags.srcZero"}, Group: "tcp", Name: "Src zero windows", Help: "packets from the source with a zero window"},
		{Path: "tcpflags.dstZero", Type: Integer, Exprs: []string{"tcpflags.dstZero"}, Group: "tcp", Name: "Dst zero windows", Help: "packets from the destination with a zero window"},
		{Path: "tcpseq.src", Type: Integer, Exprs: []string{"tcpseq.src"}, Group: "tcp", Name: "Src ISN", Help: "sequence number of the SYN"},
		{Path: "tcpseq.dst", Type: Integer, Exprs: []string{"tcpseq.dst"}, Group: "tcp", Name: "Dst ISN", Help: "sequence number of the SYN-ACK"},
		{Path: "capture.loss", Type: Integer, Exprs: []string{"capture.loss"}, Group: "general", Name: "Capture loss", Help: "packets that the sensor dropped while the session ran"},
		{Path: "capture.cut", Type: Integer, Exprs: []string{"capture.cut"}, Group: "general", Name: "Capture cut", Help: "bytes of the session's packets that were not kept: cut by a rule of the sensor or by the snaplen"},
		{Path: "chunk.key", Type: Term, Group: "chunk", Name: "Chunk", Help: "object key of a chunk that holds packets of the session"},
		{Path: "chunk.linktype", Type: Integer, Group: "chunk", Name: "Link type", Help: "link type of the chunk's records"},
		{Path: "chunk.offset", Type: Integer, Group: "chunk", Name: "Chunk offset", Help: "first byte in the object of the frames that hold the packets"},
		{Path: "chunk.length", Type: Integer, Group: "chunk", Name: "Chunk length", Help: "bytes of those frames in the object"},
		{Path: "chunk.skip", Type: Integer, Group: "chunk", Name: "Chunk skip", Help: "bytes before the first packet record once the frames are decompressed"},
		{Path: "chunk.size", Type: Integer, Group: "chunk", Name: "Chunk size", Help: "bytes of the session's packet records, decompressed"},
		{Path: "chunk.packets", Type: Integer, Group: "chunk", Name: "Chunk packets", Help: "packets of the session in the chunk"},
		{Path: "packet.comment", Type: Term, List: true, Exprs: []string{"packet.comment"}, Group: "general", Name: "Packet comment", Help: "what was written about packets of the session in the capture file"},
		{Path: "rule.name", Type: Term, List: true, Exprs: []string{"rule.name", "rule"}, Hot: true, Group: "general", Name: "Rule", Help: "rules that are true for the session"},
		{Path: "indicator.list", Type: Term, List: true, Exprs: []string{"indicator.list"}, Hot: true, Group: "general", Name: "Indicator list", Help: "indicator lists with an entry that the session matches"},
		{Path: "indicator.entry", Type: Term, List: true, Exprs: []string{"indicator.entry"}, Hot: true, Bloom: true, Group: "general", Name: "Indicator", Help: "entries of indicator lists that the session matches"},
	}
}
