package sensor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// maxMemory is what the program may take for an import of any size.
const maxMemory = 512 << 20

// watchPeak looks at a process until it ends, and returns how much memory it had at most. The kernel's own account of a
// child (getrusage) does not serve: it begins with what the parent had, which may be more.
func watchPeak(pid int) func() (bytes int64, err error) {
	type result struct {
		bytes int64
		err   error
	}
	done := make(chan result)
	go func() {
		var r result
		for ; r.err == nil; time.Sleep(10 * time.Millisecond) {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				r.err = err
				break
			}
			_, rest, found := bytes.Cut(status, []byte("VmHWM:"))
			if !found { // it has ended, and waits to be waited for
				break
			}
			var kib int64
			if _, r.err = fmt.Sscan(string(rest), &kib); r.err == nil {
				r.bytes = max(r.bytes, kib<<10)
			}
		}
		if r.err == nil && r.bytes == 0 {
			r.err = errors.New("the process ended before it was looked at")
		}
		done <- r
	}()
	return func() (int64, error) {
		r := <-done
		return r.bytes, r.err
	}
}

// TestImportMemory measures the memory of the program while it imports streams
// that are larger than that, or worse than any real one.
func TestImportMemory(t *testing.T) {
	program := buildProgram(t)
	rng := rand.New(rand.NewPCG(4, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	cases := []struct {
		name   string
		size   int
		packet func(i int) []byte
		ifaces int
	}{
		{name: "large packets", size: 600 << 20, packet: func(i int) []byte {
			at := rng.IntN(len(noise) - 1400)
			return udp(byte(i%200), uint16(i%7), noise[at:at+1400])
		}},
		{name: "a flow for each packet", size: 160 << 20, packet: func(i int) []byte {
			p := udp(byte(i), uint16(i>>8), nil)
			binary.BigEndian.PutUint32(p[26:], rng.Uint32())
			return p
		}},
		{name: "thousands of interfaces", size: 150 << 20, ifaces: 1500, packet: func(i int) []byte {
			return udp(byte(i%200), uint16(i%7), noise[i%1000:i%1000+300])
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(program, "import", "--store", "file://"+t.TempDir(), "-")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			peak := watchPeak(cmd.Process.Pid)
			w := bufio.NewWriterSize(stdin, 1<<20)
			n := 0
			var b []byte
			for size := 0; size < c.size && err == nil; n++ {
				p := []testPacket{{nanos: testStart + int64(n)*10_000, data: c.packet(n)}}
				head := 24 // of a file, which only the first packet has before it
				if c.ifaces > 0 {
					p[0].iface = rng.IntN(c.ifaces - 1)
					b, head = pcapng(p, 0), 28
					if n == 0 {
						b, head = append(pcapng(nil, c.ifaces), b[head:]...), 0
					}
				} else {
					b = pcap(p)
					if n == 0 {
						head = 0
					}
				}
				size += len(b) - head
				_, err = w.Write(b[head:])
			}
			if err == nil {
				err = w.Flush()
			}
			if err2 := stdin.Close(); err != nil || err2 != nil {
				t.Fatalf("%v, %v\n%s", err, err2, out.String())
			}
			rss, err := peak() // ends with the program
			if err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			t.Logf("%d packets, %d MiB of memory\n%s", n, rss>>20, out.String())
			if rss > maxMemory {
				t.Errorf("import of %d bytes took %d MiB of memory, at most %d", c.size, rss>>20, maxMemory>>20)
			}
		})
	}
}
