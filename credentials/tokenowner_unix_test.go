//go:build unix

package credentials_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// The variables of the process that plays the pod's container.
const (
	readerToken    = "CROSSROLE_TEST_TOKEN"
	readerRole     = "CROSSROLE_TEST_ROLE"
	readerEndpoint = "CROSSROLE_TEST_STS"
)

func init() {
	playReader = func() bool {
		path := os.Getenv(readerToken)
		if path != "" {
			readAsAnotherUser(path)
		}
		return path != ""
	}
}

// readAsAnotherUser is that process: it asks once for each line that it reads
// and writes a line with what came of it.
func readAsAnotherUser(path string) {
	os.Setenv("AWS_ENDPOINT_URL_STS", os.Getenv(readerEndpoint))
	chain, err := credentials.New(aws.Config{Region: "us-east-1"}, func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: os.Getenv(readerRole), TokenFile: path}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_, err := chain.Retrieve(context.Background())
		fmt.Printf("permission=%t kind=%t %v\n", errors.Is(err, fs.ErrPermission), errors.Is(err, credentials.TokenUnreadable), err)
	}
}

// A container that does not run as root meets a token that only root may read:
// the error says whose file it is and who we are, and granting the right is
// enough.
func TestTokenFileOfAnotherOwner(t *testing.T) {
	s := newScene(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	write(t, path, s.blue.Token("default", "s3-shared-content"))
	check(t, os.Chmod(path, 0))
	// The other user must get at the file, and at the program.
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	program := filepath.Join(dir, "reader")
	copyProgram(t, program)

	reader := exec.CommandContext(t.Context(), program)
	reader.Env = append(os.Environ(), readerToken+"="+path, readerRole+"="+s.hub.ARN(), readerEndpoint+"="+s.cloud.Serve(t))
	reader.Stderr = os.Stderr
	uid := runAsNobody(reader)
	ask, err := reader.StdinPipe()
	check(t, err)
	said, err := reader.StdoutPipe()
	check(t, err)
	check(t, reader.Start())
	answers := bufio.NewScanner(said)
	retrieve := func() string {
		t.Helper()
		if _, err := io.WriteString(ask, "go\n"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() {
			t.Fatalf("the reader ended: %v", answers.Err())
		}
		return answers.Text()
	}

	answer := retrieve()
	for _, part := range []string{
		"permission=true kind=true", path, "(mode ----------", fmt.Sprintf("owner %d:", os.Getuid()),
		fmt.Sprintf("runs as uid %d", uid), "fsGroup",
	} {
		if !strings.Contains(answer, part) {
			t.Errorf("the answer lacks %q:\n%s", part, answer)
		}
	}
	if calls := s.cloud.Calls(); len(calls) > 0 {
		t.Errorf("requests were sent: %v", calls)
	}
	check(t, os.Chmod(path, 0o644))
	if answer := retrieve(); !strings.HasSuffix(answer, "<nil>") {
		t.Errorf("after chmod: %s", answer)
	}
	check(t, ask.Close())
	check(t, reader.Wait())
}

// copyProgram copies this test's program: the directory where it was built is
// closed to others.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	in, err := os.Open(self)
	check(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	check(t, err)
	_, err = io.Copy(out, in)
	check(t, errors.Join(err, out.Close()))
}

// runAsNobody lets root, whom no file mode stops, start cmd as a user of no
// rights. It returns the user that the process will have.
func runAsNobody(cmd *exec.Cmd) (uid int) {
	if uid = os.Getuid(); uid == 0 {
		uid = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return uid
}
