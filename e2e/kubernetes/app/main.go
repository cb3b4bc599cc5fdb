// App stands for a program that is not written in Go: it knows only the AWS SDK, which
// gets credentials from the pod's sidecar. Each read asks for them again, like a command
// that starts anew.
//
//	app -sum SHA256 s3://bucket/key
//
// It reads ten times a second, and writes a line of JSON for each read. It reads for two
// more seconds after SIGTERM, and exits with status 0.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// line is one read.
type line struct {
	At    time.Time // when it ended
	Error string    `json:",omitempty"`
}

func main() {
	sum := flag.String("sum", "", "SHA-256 of the object, in hex")
	flag.Parse()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(flag.Arg(0), "s3://"), "/")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	out := json.NewEncoder(os.Stdout)
	tick := time.NewTicker(100 * time.Millisecond)
	var end <-chan time.Time
	for {
		err := read(bucket, key, *sum)
		l := line{At: time.Now()}
		if err != nil {
			l.Error = err.Error()
		}
		if err := out.Encode(l); err != nil {
			os.Exit(1)
		}
		select {
		case <-stop:
			end = time.After(2 * time.Second)
		case <-end:
			return
		case <-tick.C:
		}
	}
}

func read(bucket, key, sum string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1))
	if err != nil {
		return err
	}
	c := s3.NewFromConfig(cfg, func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true })
	object, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return err
	}
	defer object.Body.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, object.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(digest.Sum(nil)); got != sum {
		return fmt.Errorf("the content has the SHA-256 %s", got)
	}
	return nil
}
