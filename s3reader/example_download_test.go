package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/crossrole/crossrole/s3reader"
)

// sink is any io.WriterAt: a file, a memory map, a part of something larger.
type sink []byte

func (s sink) WriteAt(p []byte, off int64) (int, error) { return copy(s[off:], p), nil }

func ExampleReader_Download() {
	w := make(sink, 9)
	info, err := sharedReader().Download(context.Background(), "cats/outdoor.txt", w)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, verified: %v\n", w, info.Verified)
	// Output: meow meow, verified: true
}

// Each call has its own options: here, a progress.
func ExampleReader_Download_options() {
	var last s3reader.Progress
	w := make(sink, 29)
	_, err := sharedReader().Download(context.Background(), "prices.csv", w, func(o *s3reader.DownloadOptions) {
		o.Concurrency = 2
		o.Progress = func(p s3reader.Progress) { last = p }
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d of %d bytes\n", last.Key, last.Bytes, last.Total)
	// Output: prices.csv: 29 of 29 bytes
}

func ExampleReader_DownloadFile() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "prices.csv")

	info, err := sharedReader().DownloadFile(context.Background(), "prices.csv", path)
	if err != nil {
		log.Fatal(err) // path names what it named before
	}
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes, verified: %v\n%s", info.Size, info.Verified, data)

	_, err = sharedReader().DownloadFile(context.Background(), "prices.json", path)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// 29 bytes, verified: true
	// item,price
	// food,12
	// basket,30
	// true
}

func ExampleReader_DownloadDir() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	text := func(o *s3reader.DirOptions) {
		o.Include = func(i *s3reader.Info) bool { return strings.HasSuffix(i.Key, ".txt") }
	}
	pics := sharedReader()
	for range 2 { // the second call finds that nothing has changed
		sum, err := pics.DownloadDir(context.Background(), "cats", filepath.Join(dir, "copy"), text)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sum.Files, "files,", sum.Unchanged, "of them unchanged,", sum.Bytes, "bytes,", len(sum.Skipped), "skipped")
	}
	purr, err := os.ReadFile(filepath.Join(dir, "copy", "indoor.txt"))
	fmt.Printf("%s, %v\n", purr, err)
	// Output:
	// 2 files, 0 of them unchanged, 13 bytes, 0 skipped
	// 2 files, 2 of them unchanged, 13 bytes, 0 skipped
	// purr, <nil>
}
