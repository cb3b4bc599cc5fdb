package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/emulator"
)

// builtinWorld has the quick start's accounts.
//
//go:embed world.yaml
var builtinWorld []byte

// maxWorldSize is the longest document that awstest.Load reads.
const maxWorldSize = 1 << 20

type emulateCmd struct {
	listen   string
	tokenDir string
	rotate   time.Duration
	check    bool
	schema   bool
}

func newEmulate() *cobra.Command {
	var e emulateCmd
	c := &cobra.Command{
		Use:   "emulate [WORLD.yaml]",
		Short: "Serve an in-memory AWS for tests: accounts, clusters, STS, IAM and S3",
		Long: `emulate serves an in-memory AWS on a loopback port, for tests in any language
and for trying out policies. It checks signatures, tokens, trust policies,
identity policies and bucket policies as AWS does, and refuses what AWS refuses.

A world document declares accounts with roles and buckets, clusters, and pods;
emulate --schema prints its JSON schema, for your editor. Without a document,
the world is that of the quick start: a pod that reads the bucket pics of
another account.

Standard output gets the environment variables of each pod, as lines for a
shell. Paste those of one pod and run any AWS SDK or the AWS CLI:

  crossrole emulate
  # in another shell, after pasting the export lines
  crossrole doctor --role arn:aws:iam::444455556666:role/S3_Pics --bucket pics

Open the address in a browser to see the last calls, each with the statements
that granted or refused it. The control API below /_crossrole/ (openapi.json describes it)
adds faults, rotates tokens, moves a pod to another cluster, revokes sessions or
makes them expire, and resets the world.

Everything is in memory but the pods' token files; they are removed at the end.`,
		Example: `  crossrole emulate
  crossrole emulate --check world.yaml
  curl -X POST http://127.0.0.1:4566/_crossrole/pods/app/rotate`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if e.schema {
				_, err := c.OutOrStdout().Write(awstest.WorldSchema())
				return err
			}
			document, files, name, err := readWorld(args)
			if err != nil {
				return err
			}
			if e.check {
				return worldError(name, emulator.Check(document, files))
			}
			return worldError(name, e.run(c.Context(), c.OutOrStdout(), document, files))
		},
	}
	c.Flags().StringVar(&e.listen, "listen", "127.0.0.1:0", "loopback `ADDRESS` to listen on; port 0 takes a free one")
	c.Flags().StringVar(&e.tokenDir, "token-dir", "", "`DIR` for the pods' token volumes (default: a temporary folder)")
	c.Flags().DurationVar(&e.rotate, "rotate", time.Hour, "how often the pods get a fresh token; 0 for never")
	c.Flags().BoolVar(&e.check, "check", false, "only check the document; print its mistakes with line and column")
	c.Flags().BoolVar(&e.schema, "schema", false, "print the JSON schema of world documents")
	return c
}

// readWorld returns the document and the folder that its paths are relative to.
func readWorld(args []string) (document []byte, files fs.FS, name string, err error) {
	if len(args) == 0 {
		return builtinWorld, nil, "built-in world", nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, nil, "", err
	}
	defer f.Close()
	document, err = io.ReadAll(io.LimitReader(f, maxWorldSize+1)) // Load refuses one byte more
	return document, os.DirFS(filepath.Dir(args[0])), args[0], err
}

// worldError puts the document's name before each mistake, so that editors can
// jump there: world.yaml:4:9: what is wrong.
func worldError(name string, err error) error {
	if err == nil {
		return nil
	}
	mistakes, ok := strings.CutPrefix(err.Error(), "awstest: ")
	if !ok {
		return err
	}
	return errors.New(name + ":" + strings.ReplaceAll(mistakes, "\n", "\n"+name+":"))
}

// run serves the world until ctx is done.
func (e *emulateCmd) run(ctx context.Context, out io.Writer, document []byte, files fs.FS) (err error) {
	if e.rotate < 0 {
		return usagef("--rotate %v is negative; want a duration such as 10m, or 0 for never", e.rotate)
	}
	if err := checkLoopback(e.listen); err != nil {
		return err
	}
	dir := e.tokenDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "crossrole-emulate-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	emulated, err := emulator.New(document, dir, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, emulated.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.listen)
	if err != nil {
		return fmt.Errorf("--listen %q: %w", e.listen, err)
	}
	server := &http.Server{Handler: emulated, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	url := "http://" + listener.Addr().String()
	_, err = fmt.Fprintf(out, "# crossrole emulate: an in-memory AWS at %s\n%s", url, emulated.Environments(url))
	var due <-chan time.Time
	if e.rotate > 0 {
		ticker := time.NewTicker(e.rotate)
		defer ticker.Stop()
		due = ticker.C
	}
	for err == nil {
		select {
		case <-due:
			emulated.RotateTokens()
		case err := <-ended:
			return err
		case <-ctx.Done():
			if err := errors.Join(server.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		}
	}
	return errors.Join(err, server.Close())
}

// checkLoopback refuses an address that other machines reach: the emulator's
// control API asks for no password.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usagef("--listen %q; want a loopback address with a port, such as 127.0.0.1:4566, because the control API asks for no password", address)
	}
	return nil
}
