package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// supervisor is a shell that runs a server and outlives whoever started it by a moment only.
//
// Its descriptor 3 is a pipe whose other end the starting process holds: end of file means that process is gone,
// whatever it died of, or wants the server gone. Pdeathsig would not do: it follows the thread that forked, which
// the Go runtime may end at any time, and nobody would remove the data folder. $1 is that folder, removed with the
// server unless the word keep came through the pipe; the rest is the command. The shell itself writes
// nothing: the reader of its output may be gone, and a signal for that would end it too early.
const supervisor = `
dir=$1; shift
"$@" 3<&- &
server=$!
exec >/dev/null 2>&1
( read -r word <&3; trap '' TERM; kill -KILL $server; [ "$word" = keep ] ) &
watch=$!
wait $server
code=$?
kill $watch
wait $watch || rm -rf "$dir"
exit $code
`

// startTimeout bounds how long a server may take until it answers; two cores shared by many tests are slow.
const startTimeout = 2 * time.Minute

// process is a running server under its supervisor.
type process struct {
	name string
	hold *os.File // write end of the supervisor's pipe: closing it kills the server
	log  *tail    // what the server wrote last
	done chan struct{}
	err  error // how the supervisor ended; read after done
	once sync.Once
}

// startProcess runs a command under a supervisor; its folder dir is removed when it has ended,
// except by stop.
func startProcess(name, dir string, env []string, command ...string) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // the child has its own copy
	args := append([]string{"-c", supervisor, "supervisor", dir}, command...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = append(os.Environ(), env...)
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{r}
	// A group of its own: Ctrl-C in a terminal ends the test, and its end stops the server in order.
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), w.Close())
	}
	p := &process{name: name, hold: w, log: out, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill ends the server with SIGKILL and waits until it and its data folder are gone.
func (p *process) kill() { p.end("") }

// stop ends the server with SIGKILL as a crash would, and keeps its data folder.
func (p *process) stop() { p.end("keep\n") }

func (p *process) end(word string) {
	p.once.Do(func() {
		// A supervisor that has ended already reads nothing: then there is nothing to end.
		_, _ = p.hold.WriteString(word)
		_ = p.hold.Close()
	})
	<-p.done
}

// waitReady polls url until check accepts the status of the answer. When the server ends or is too slow, the error
// holds the end of its log.
func (p *process) waitReady(url string, check func(status int) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	// No shared transport: a connection kept open must not meet the next server on the same port.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if check(resp.StatusCode) {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %w\n%s", p.name, p.err, p.log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v\n%s", p.name, startTimeout, p.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// tailBytes is how much of a server's log an error shows.
const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
