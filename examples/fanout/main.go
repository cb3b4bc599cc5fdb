// Fanout lists one bucket in each of many accounts, with one hub, a role in every
// account, and a pool of chains. It runs in memory; the function to copy is scan.
//
//	go run ./examples/fanout [-n 2000] [-at-once 64] [-all]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/crossrole/crossrole/credentials"
)

func main() {
	n := flag.Int("n", 2000, "number of accounts")
	atOnce := flag.Int("at-once", 64, "number of accounts to scan at the same time")
	all := flag.Bool("all", false, "print every account, not only the first few and those that failed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "fanout-")
	if err == nil {
		err = errors.Join(run(ctx, os.Stdout, dir, *n, *atOnce, *all), os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, dir string, n, atOnce int, all bool) error {
	if n < 1 || n > 100_000 || atOnce < 1 {
		return fmt.Errorf("-n %d, -at-once %d: want 1 to 100,000 accounts, and at least one at a time", n, atOnce)
	}
	org := newOrganization(dir, n)
	pool, err := credentials.NewPool(org.cloud.Config(), func(o *credentials.PoolOptions) {
		o.Source = credentials.WebIdentity{RoleARN: org.pod.RoleARN(), TokenFile: org.pod.TokenFile()}
		o.MaxChains = n
		o.STSRate = 500 // of the 600 per second that AWS allows the hub's account
	})
	if err != nil {
		return err
	}
	results := scan(ctx, pool, org.targets, atOnce)
	if err := ctx.Err(); err != nil {
		return err
	}
	return report(out, results, all)
}

const shown = 5 // accounts without an error that are printed

func report(out io.Writer, results []result, all bool) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ACCOUNT\tOBJECTS\tBYTES\tRESULT")
	var objects, failed int
	var bytes int64
	for i, r := range results {
		objects, bytes = objects+r.objects, bytes+r.bytes
		text := "ok"
		if r.err != nil {
			failed++
			text = explain(r.err)
		}
		if all || i < shown || r.err != nil {
			fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", r.account, r.objects, r.bytes, text)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if i := slices.IndexFunc(results, func(r result) bool { return r.err != nil }); i >= 0 {
		fmt.Fprintf(out, "\nFixes for account %s:\n%s\n", results[i].account, remedy(results[i].err))
	}
	_, err := fmt.Fprintf(out, "%d accounts, %d failed: %d objects, %d bytes\n", len(results), failed, objects, bytes)
	return err
}

// explain returns the error as a table cell.
func explain(err error) string {
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		return err.Error()
	}
	return fmt.Sprintf("%s at hop %d: %s", e.Kind, e.Hop, e.Message)
}

// remedy returns the fixes that the account's owner can apply, if the error has any.
func remedy(err error) string {
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok || len(e.Fixes) == 0 {
		return err.Error() + "\n"
	}
	return "- " + strings.Join(e.Fixes, "\n- ") + "\n"
}
