package systemd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"wirelake/testenv"
)

const childEnv = "SYSTEMD_TEST_CHILD"

// TestMain is, when asked, a service that is started again and again.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := service(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// service says what was kept for it, and keeps a pipe that it has written to.
func service() error {
	files, err := Files()
	if err != nil {
		return err
	}
	m := FromEnvironment()
	for _, f := range files {
		pipe := os.NewFile(uintptr(f.FD), f.Name)
		b := make([]byte, 100)
		n, err := pipe.Read(b)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", f.Name, b[:n])
		if err := m.Forget(f.Name); err != nil {
			return err
		}
	}
	if again, err := Files(); err != nil || again != nil || os.Getenv("LISTEN_FDS") != "" {
		return fmt.Errorf("handed a second time: %v, %w", again, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "from "+os.Getenv(childEnv)); err != nil {
		return err
	}
	if err := m.Keep("pipe,"+os.Getenv(childEnv), int(r.Fd())); err != nil {
		return err
	}
	return m.Ready()
}

func TestFilesOutliveTheProcess(t *testing.T) {
	store := testenv.NewDescriptorStore(t)
	run := func(name string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+name)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := store.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		return out.String()
	}
	if out := run("a"); out != "" {
		t.Errorf("the first process got %q", out)
	}
	if out := run("b"); out != "pipe,a: from a\n" {
		t.Errorf("the second process got %q", out)
	}
	kept, err := store.Kept()
	if err != nil || !slices.Equal(kept, []string{"pipe,b"}) {
		t.Errorf("kept %q, %v", kept, err)
	}
	said, err := store.Said()
	if err != nil || strings.Join(said, "") != "READY=1\nREADY=1\n" {
		t.Errorf("said %q, %v", said, err)
	}
	store.Discard()
	if out := run("c"); out != "" {
		t.Errorf("after all was discarded, the next process got %q", out)
	}
}

func TestWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m := FromEnvironment()
	if m != nil || m.Ready() != nil || m.Keep("x", 0) != nil || m.Forget("x") != nil || m.Stopping() != nil {
		t.Error("there is a manager, or an error without one")
	}
	t.Setenv("LISTEN_PID", "1") // of another process
	t.Setenv("LISTEN_FDS", "5")
	if files, err := Files(); err != nil || files != nil {
		t.Errorf("files %v, %v", files, err)
	}
	t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	t.Setenv("LISTEN_FDS", "many")
	if _, err := Files(); err == nil || !strings.Contains(err.Error(), `LISTEN_FDS="many"`) {
		t.Errorf("error %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", t.TempDir()+"/nobody")
	if err := FromEnvironment().Ready(); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
}
