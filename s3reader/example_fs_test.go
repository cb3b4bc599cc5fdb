package s3reader_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// Whatever walks a file system walks a bucket.
func ExampleReader_FS() {
	err := fs.WalkDir(sharedReader().FS(context.Background()), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info() // makes no request
		if err != nil {
			return err
		}
		fmt.Println(path, info.Size(), info.Sys().(*s3reader.Info).StorageClass)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// cats/indoor.txt 4 STANDARD
	// cats/outdoor.txt 9 STANDARD
	// prices.csv 29 STANDARD
}

// A web server for a bucket, ranges included.
func ExampleReader_FS_fileServer() {
	handler := http.FileServerFS(sharedReader().FS(context.Background()))

	for _, asked := range []string{"bytes=5-8", "bytes=-4"} {
		req := httptest.NewRequest(http.MethodGet, "/cats/outdoor.txt", nil)
		req.Header.Set("Range", asked)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		fmt.Println(w.Code, w.Header().Get("Content-Range"), w.Body)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/dogs/", nil))
	fmt.Println(w.Code)
	// Output:
	// 206 bytes 5-8/9 meow
	// 206 bytes 5-8/9 meow
	// 404
}

// An archive is read where it lies: its index, and then the one file that is
// wanted.
func ExampleReader_Open_zip() {
	album := zipped("indoor.txt", "purr", "outdoor.txt", "meow meow")
	r := readerOf("album.zip", album)

	o, err := r.Open(context.Background(), "album.zip")
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	files, err := zip.NewReader(o, o.Info().Size)
	if err != nil {
		log.Fatal(err)
	}
	f, err := files.Open("outdoor.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d files, %s\n", len(files.File), text)
	// Output: 2 files, meow meow
}

// zipped is an archive of names and their texts.
func zipped(pairs ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.Create(pairs[i])
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.WriteString(f, pairs[i+1]); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}

// readerOf reads a bucket that holds one object.
func readerOf(key string, data []byte) *s3reader.Reader {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	account.CreateBucket("pics").Put(key, data)
	keys := account.UserCredentials("reader", mayRead)
	cfg := cloud.Config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")
	r, err := s3reader.New(cfg, "pics")
	if err != nil {
		log.Fatal(err)
	}
	return r
}
