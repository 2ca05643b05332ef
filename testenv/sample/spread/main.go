// Command spread moves the episodes of a short capture apart, so that minutes of traffic span hours:
//
//	spread -marks FILE -start TIME -span 6h IN.pcap OUT.pcap
//
// The marks are the times, in seconds since 1970 and one a line, at which episodes began. An episode is moved as a
// whole: a flow (or, where nothing like a port tells flows apart, a packet) belongs to the episode in which it began,
// and all its packets are moved by the same time, so that no time within a flow changes. The output is sorted by time,
// in nanoseconds.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// restart is the silence after which a UDP 5-tuple counts as a new flow.
const restart = 10 * time.Second

// seed makes the lengths of the breaks between episodes the same in each run.
const seed = 7

type packet struct {
	info gopacket.CaptureInfo
	data []byte
}

// breaks returns by how much each episode is moved: they keep their order and lengths, with random breaks between.
func breaks(marks []time.Time, start time.Time, span time.Duration) []time.Duration {
	r := rand.New(rand.NewPCG(seed, seed))
	at := make([]float64, len(marks)) // place of each episode, first 0
	for i := 1; i < len(marks); i++ {
		at[i] = at[i-1] + r.ExpFloat64()
	}
	shifts := make([]time.Duration, len(marks))
	scale := 0.0
	if last := at[len(at)-1]; last > 0 {
		scale = float64(span) / last
	}
	for i, mark := range marks {
		shifts[i] = start.Add(time.Duration(at[i] * scale)).Sub(mark)
	}
	return shifts
}

// flowKey tells flows apart; ok is false for packets that are moved one by one.
type flowKey struct {
	net, transport gopacket.Flow
	kind           gopacket.LayerType
}

func keyOf(data []byte) (key flowKey, syn, ok bool) {
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	n, t := p.NetworkLayer(), p.TransportLayer()
	if n == nil || t == nil {
		return key, false, false
	}
	key = flowKey{net: n.NetworkFlow(), transport: t.TransportFlow(), kind: t.LayerType()}
	if tcp, is := t.(*layers.TCP); is {
		syn = tcp.SYN && !tcp.ACK
	}
	// Both directions under one key.
	back := flowKey{net: key.net.Reverse(), transport: key.transport.Reverse(), kind: key.kind}
	if n.NetworkFlow().Src().LessThan(n.NetworkFlow().Dst()) {
		key = back
	}
	return key, syn, true
}

func readMarks(name string) ([]time.Time, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	var marks []time.Time
	for s := bufio.NewScanner(f); s.Scan(); {
		sec, err := strconv.ParseFloat(s.Text(), 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		marks = append(marks, time.Unix(0, int64(sec*1e9)))
	}
	if len(marks) == 0 {
		return nil, fmt.Errorf("%s holds no marks", name)
	}
	return marks, nil
}

func readPackets(name string) ([]packet, layers.LinkType, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() //nolint:errcheck // read only
	r, err := pcapgo.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	var packets []packet
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets, r.LinkType(), nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: packet %d: %w", name, len(packets)+1, err)
		}
		packets = append(packets, packet{info, data})
	}
}

// move sets the new time of each packet and sorts them.
func move(packets []packet, marks []time.Time, shifts []time.Duration) {
	type flow struct {
		episode int
		last    time.Time
	}
	flows := map[flowKey]*flow{}
	episode := 0
	for i := range packets {
		p := &packets[i]
		at := p.info.Timestamp
		for episode+1 < len(marks) && !at.Before(marks[episode+1]) {
			episode++
		}
		of := episode
		if key, syn, ok := keyOf(p.data); ok {
			f := flows[key]
			if f == nil || syn || key.kind == layers.LayerTypeUDP && at.Sub(f.last) > restart {
				f = &flow{episode: episode}
				flows[key] = f
			}
			f.last = at
			of = f.episode
		}
		p.info.Timestamp = at.Add(shifts[of])
	}
	slices.SortStableFunc(packets, func(a, b packet) int { return cmp.Compare(a.info.Timestamp.UnixNano(), b.info.Timestamp.UnixNano()) })
}

func write(name string, packets []packet, link layers.LinkType) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(f)
	w := pcapgo.NewWriterNanos(buf)
	err = w.WriteFileHeader(262144, link)
	for _, p := range packets {
		err = errors.Join(err, w.WritePacket(p.info, p.data))
	}
	return errors.Join(err, buf.Flush(), f.Close())
}

func run() error {
	marksFile := flag.String("marks", "", "file with the times at which episodes began")
	startText := flag.String("start", "", "time of the first episode in the output, RFC 3339")
	span := flag.Duration("span", 6*time.Hour, "time from the first episode to the last in the output")
	flag.Parse()
	start, err := time.Parse(time.RFC3339, *startText)
	if err != nil {
		return fmt.Errorf("-start: %w", err)
	}
	marks, err := readMarks(*marksFile)
	if err != nil {
		return err
	}
	packets, link, err := readPackets(flag.Arg(0))
	if err != nil {
		return err
	}
	move(packets, marks, breaks(marks, start, *span))
	return write(flag.Arg(1), packets, link)
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("spread: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
