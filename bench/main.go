package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

// settings of one run.
type settings struct {
	quick bool
	svg   string // file for the plot of the fleet's requests; empty: none
}

// rounds is full, or quick in a quick run.
func (s settings) rounds(quick, full int) int {
	if s.quick {
		return quick
	}
	return full
}

const quickWord = "quick"

// String returns the settings as command-line flags.
func (s settings) String() string {
	if s.quick {
		return quickWord
	}
	return "full"
}

// group is the rows that one measurement produces.
type group struct {
	rows    []Row // without figures
	measure func(ctx context.Context, s settings) (figures, error)
}

var groups = slices.Concat([]group{refresh, outageFailed, outageCalls, hang, hot, coldstart, expired, regionAway, regionFirst, firstStarted, fanoutIdle, fanoutWarm, fleet, fleetExpired, s3Discard, s3Random, s3List200, s3Files, s3Capped, s3Costs, s3Small, weight}, growth)

func main() {
	calledByItself(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// calledByItself does not return if the program was started by itself: see virtualMain
// and podMain.
func calledByItself(args []string) {
	switch {
	case len(args) == 3 && args[0] == virtualCommand:
		virtualMain(args[1], settings{quick: args[2] == quickWord})
	case len(args) == 2 && args[0] == podCommand:
		os.Exit(podMain(args[1]))
	case len(args) == 2 && args[0] == fetchCommand:
		os.Exit(fetchMain(args[1]))
	case len(args) == 2 && args[0] == jobCommand:
		os.Exit(jobMain(args[1]))
	case len(args) == 1 && args[0] == s3Command:
		os.Exit(s3Main())
	case len(args) == 1 && args[0] == loadCommand:
		loadMain()
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print one JSON object per line")
	quick := flags.Bool("quick", false, "fewer rounds: a part such as -run ^s3/ within 45 seconds")
	pattern := flags.String("run", "", "measure the rows whose name matches this `regexp`")
	svg := flags.String("svg", "", "draw the STS requests of fleet/* over time into this `file`")
	load := flags.Int("load", 0, "run `n` busy loops at the same time")
	list := flags.Bool("list", false, "print the names of the rows")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "bench: unexpected argument %q: rows are selected with -run\n", flags.Arg(0))
		return 2
	}
	selected, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintf(stderr, "bench: -run: %v\n", err)
		return 2
	}
	var out printer = &table{w: stdout}
	if *asJSON {
		out = jsonLines{stdout}
	}
	if !*list {
		stop, err := startLoad(ctx, *load)
		if err != nil {
			fmt.Fprintf(stderr, "bench: -load: %v\n", err)
			return 1
		}
		defer func() { _ = stop() }() // a loop that cannot be killed has ended
	}
	code, found := 0, false
	for _, g := range groups {
		rows := slices.DeleteFunc(slices.Clone(g.rows), func(r Row) bool { return !selected.MatchString(r.Name) })
		if len(rows) == 0 {
			continue
		}
		found = true
		if *list {
			for _, r := range rows {
				fmt.Fprintln(stdout, r.Name)
			}
			continue
		}
		got, err := g.measure(ctx, settings{quick: *quick, svg: *svg})
		if err == nil {
			err = got.print(rows, out)
		}
		if err != nil {
			fmt.Fprintf(stderr, "bench: %s: %v\n", rows[0].Name, err)
			code = 1
		}
	}
	if !found {
		fmt.Fprintf(stderr, "bench: no row matches %q; -list prints their names\n", *pattern)
		return 2
	}
	return code
}
