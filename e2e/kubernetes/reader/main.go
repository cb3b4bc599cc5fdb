// Reader reads one object repeatedly until its standard input is closed, and compares
// it with the expected checksum:
//
//	reader [-role ARN]... -sum SHA256 s3://bucket/key
//
// It writes a line of JSON for each read that failed, a line with the counts at most ten
// times a second, and one at the end. Like examples/fetch, it is configured by the pod's
// environment. In addition, READER_STS gives each region an STS endpoint of its own:
// REGION=URL, separated by commas. The regions after the first are fallback regions.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

// line is one line of output.
type line struct {
	At       time.Time // start of the read
	Took     time.Duration
	Reads    int    // that were exact
	Wrong    int    // that returned wrong bytes without an error
	Failed   int    // that returned an error
	Sessions int64  // that the first hop got
	Tokens   int64  // changes of the token file
	Region   string // whose STS the first hop asked last
	Kind     string `json:",omitempty"` // of the read that failed
	Error    string `json:",omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

func run() error {
	var roles []string
	flag.Func("role", "`ARN` of a role to assume next", func(arn string) error { roles = append(roles, arn); return nil })
	sum := flag.String("sum", "", "SHA-256 of the object, in hex")
	flag.Parse()
	bucket, key, ok := strings.Cut(strings.TrimPrefix(flag.Arg(0), "s3://"), "/")
	if !ok {
		return fmt.Errorf("%q is not s3://bucket/key", flag.Arg(0))
	}
	fallbacks, endpoints := regionsOf(os.Getenv("READER_STS"))
	var sessions, tokens atomic.Int64
	cfg, err := credentials.Wrap(aws.Config{BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL_S3"))}, credentials.Assume(roles...), func(o *credentials.Options) {
		if o.FallbackRegions = fallbacks; endpoints != nil {
			o.STS = func(o *sts.Options) { o.BaseEndpoint = aws.String(endpoints[o.Region]) }
		}
		o.OnEvent = func(e credentials.Event) {
			switch {
			case e.Type == credentials.Refreshed && e.Hop == 1:
				sessions.Add(1)
			case e.Type == credentials.TokenRotated || e.Type == credentials.IssuerChanged:
				tokens.Add(1)
			}
		}
	})
	if err != nil {
		return err
	}
	reader, err := s3reader.New(cfg, bucket)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // returns at the end of the input or an error
		stop()
	}()
	chain, _ := credentials.ChainOf(cfg)
	return loop(ctx, reader, key, *sum, func(l *line) {
		l.Sessions, l.Tokens, l.Region = sessions.Load(), tokens.Load(), chain.Status().Hops[0].Region
	})
}

// regionsOf returns the regions of READER_STS after the first, and the endpoints of all;
// nil if it is empty.
func regionsOf(list string) (fallbacks []string, endpoints map[string]string) {
	if list == "" {
		return nil, nil
	}
	endpoints = map[string]string{}
	for entry := range strings.SplitSeq(list, ",") {
		region, endpoint, _ := strings.Cut(entry, "=")
		if len(endpoints) > 0 {
			fallbacks = append(fallbacks, region)
		}
		endpoints[region] = endpoint
	}
	return fallbacks, endpoints
}

func loop(ctx context.Context, reader *s3reader.Reader, key, sum string, count func(*line)) error {
	out := json.NewEncoder(os.Stdout)
	var l line
	var reported time.Time
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		l.At = time.Now()
		// As a caller would do that cannot wait forever.
		patience, cancel := context.WithTimeout(ctx, 20*time.Second)
		data, err := reader.Get(patience, key)
		cancel()
		if ctx.Err() != nil {
			count(&l)
			return out.Encode(l)
		}
		l.Took = time.Since(l.At)
		digest := sha256.Sum256(data)
		said := l
		switch {
		case err != nil:
			l.Failed++
			said = l
			said.Kind, said.Error = kind(err), err.Error()
		case hex.EncodeToString(digest[:]) != sum:
			l.Wrong++
			said = l
			said.Kind, said.Error = "wrong bytes", fmt.Sprintf("%d bytes that are not the object", len(data))
		default:
			l.Reads++
			said = l
		}
		if said.Kind != "" || time.Since(reported) > 100*time.Millisecond {
			count(&said)
			if err := out.Encode(said); err != nil {
				return err
			}
			reported = time.Now()
		}
		<-tick.C
	}
}

// kind returns the error's type, as a program would check for it.
func kind(err error) string {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return "credentials." + string(e.Kind)
	}
	if e, ok := errors.AsType[*s3reader.Error](err); ok {
		return strings.TrimSuffix("s3reader.Error "+string(e.Kind), " ")
	}
	return "untyped"
}
