package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// TestEmulate runs the command without a document until it is interrupted. A
// program with the variables that it prints reads the bucket, as in a pod.
func TestEmulate(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	out, in := io.Pipe()
	root := newRoot()
	root.SetArgs([]string{"emulate"})
	root.SetOut(in)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()

	printed := map[string]string{}
	lines := bufio.NewScanner(out)
	for printed["AWS_ENDPOINT_URL_STS"] == "" && lines.Scan() {
		if variable, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			name, value, _ := strings.Cut(variable, "=")
			printed[name] = strings.Trim(value, "'")
		}
	}
	go io.Copy(io.Discard, out) // so that the command can go on printing
	if want := "arn:aws:iam::111122223333:role/hub"; printed["AWS_ROLE_ARN"] != want {
		t.Errorf("AWS_ROLE_ARN is %q, want %q", printed["AWS_ROLE_ARN"], want)
	}
	token := printed["AWS_WEB_IDENTITY_TOKEN_FILE"]
	if _, err := os.Stat(token); err != nil {
		t.Error(err)
	}
	for name, value := range printed {
		t.Setenv(name, value)
	}
	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := credentials.New(base, credentials.Assume(target))
	if err != nil {
		t.Fatal(err)
	}
	if report := chain.Check(ctx); !report.Healthy() {
		t.Error(report)
	}
	pics, err := s3reader.New(chain.Config(), "pics")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := pics.Get(ctx, "indoor-cat.jpg"); err != nil || string(data) != "meow" {
		t.Errorf("the picture is %q, %v", data, err)
	}

	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
	if _, err := os.Stat(token); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the token is still there: %v", err)
	}
}
