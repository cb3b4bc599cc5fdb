package s3reader_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/s3reader"
)

// sharedAccount is an AWS in memory with some objects, and a configuration that
// may read them. A program has it from credentials.Wrap or
// config.LoadDefaultConfig.
func sharedAccount() aws.Config {
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	bucket := account.CreateBucket("pics")
	bucket.Put("cats/indoor.txt", []byte("purr"), func(o *awstest.Object) { o.ContentType = "text/plain" })
	bucket.Put("cats/outdoor.txt", []byte("meow meow"))
	account.CreateBucket("secrets").Put("secret.txt", []byte("sardines"), func(o *awstest.Object) { o.CustomerKey = []byte("0123456789abcdefghijklmnopqrstuv") })
	bucket.Put("prices.csv", []byte("item,price\nfood,12\nbasket,30\n"))
	keys := account.UserCredentials("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/*","arn:aws:s3:::secrets/*"]}]}`)
	cfg := cloud.Config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")
	return cfg
}

func sharedReader() *s3reader.Reader {
	r, err := s3reader.New(sharedAccount(), "pics")
	if err != nil {
		log.Fatal(err)
	}
	return r
}

func ExampleNew() {
	cfg := sharedAccount()
	r, err := s3reader.New(cfg, "arn:aws:s3:::pics", func(o *s3reader.Options) {
		o.ExpectedBucketOwner = "444455556666"
	})
	if err != nil {
		log.Fatal(err)
	}
	data, err := r.Get(context.Background(), "cats/indoor.txt")
	fmt.Printf("%s, %v\n", data, err)

	_, err = s3reader.New(cfg, "s3://pics/cats/indoor.txt")
	fmt.Println(err)
	// Output:
	// purr, <nil>
	// s3reader: new: "s3://pics/cats/indoor.txt" is a URL: give the bucket's name alone here, and the key to Get or Open
}

func ExampleReader_Stat() {
	info, err := sharedReader().Stat(context.Background(), "cats/indoor.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Size, info.ContentType, info.StorageClass)
	// Output: 4 text/plain STANDARD
}

func ExampleReader_Get() {
	r := sharedReader()
	data, err := r.Get(context.Background(), "cats/outdoor.txt")
	fmt.Printf("%s, %v\n", data, err)

	_, err = r.Get(context.Background(), "dogs/outdoor.txt")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// meow meow, <nil>
	// true
}

// A CSV file is read as it arrives.
func ExampleReader_Open() {
	o, err := sharedReader().Open(context.Background(), "prices.csv")
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	rows := csv.NewReader(o)
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row)
	}
	fmt.Println(o.Info().Size, "bytes, verified:", o.Info().Verified)
	// Output:
	// [item price]
	// [food 12]
	// [basket 30]
	// 29 bytes, verified: true
}

func ExampleReader_List() {
	for info, err := range sharedReader().List(context.Background(), "cats/") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Key, info.Size)
	}
	// Output:
	// cats/indoor.txt 4
	// cats/outdoor.txt 9
}

// A delimiter lists one directory.
func ExampleReader_List_delimiter() {
	oneLevel := func(o *s3reader.ListOptions) { o.Delimiter = "/" }
	for info, err := range sharedReader().List(context.Background(), "", oneLevel) {
		if err != nil {
			log.Fatal(err)
		}
		if info.IsPrefix {
			fmt.Println(info.Key)
			continue
		}
		fmt.Println(info.Key, info.Size)
	}
	// Output:
	// cats/
	// prices.csv 29
}

// StartAfter continues an earlier listing.
func ExampleReader_List_startAfter() {
	later := func(o *s3reader.ListOptions) { o.StartAfter = "cats/indoor.txt" }
	for info, err := range sharedReader().List(context.Background(), "cats/", later) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Key)
	}
	// Output: cats/outdoor.txt
}

// What this package does not do is done with its client.
func ExampleReader_Client() {
	_, err := sharedReader().Client().HeadBucket(context.Background(), &s3.HeadBucketInput{Bucket: aws.String("pics")})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleObject_ReadAt() {
	o, err := sharedReader().Open(context.Background(), "prices.csv")
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	price := make([]byte, 2)
	if _, err := o.ReadAt(price, 16); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", price)
	// Output: 12
}

// WriteTo, and hence io.Copy, go on from where Seek went.
func ExampleObject_Seek() {
	o, err := sharedReader().Open(context.Background(), "prices.csv")
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	if _, err := o.Seek(-10, io.SeekEnd); err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, o); err != nil {
		log.Fatal(err)
	}
	// Output: basket,30
}

func ExampleError() {
	r, err := s3reader.New(sharedAccount(), "picz")
	if err != nil {
		log.Fatal(err)
	}
	_, err = r.Get(context.Background(), "cats/indoor.txt")
	if e, ok := errors.AsType[*s3reader.Error](err); ok {
		fmt.Println(e.Op, e.Bucket, e.Key, e.Kind, e.Code)
	}
	switch {
	case errors.Is(err, s3reader.NoSuchBucket):
		fmt.Println("the bucket does not exist")
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("the object does not exist")
	case errors.Is(err, fs.ErrPermission):
		fmt.Println("not allowed, or not there")
	}
	// Output:
	// get picz cats/indoor.txt NoSuchBucket NoSuchBucket
	// the bucket does not exist
}

// Reading a few bytes here and there, of which nothing else is asked for.
func ExampleReader_Open_random() {
	o, err := sharedReader().Open(context.Background(), "prices.csv", func(o *s3reader.OpenOptions) { o.Random = true })
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	p := make([]byte, 5)
	if _, err := o.ReadAt(p, 5); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of %d bytes\n", p, o.Info().Size)
	// Output: price of 29 bytes
}

// Objects that are encrypted with a key of the customer (SSE-C).
func ExampleNewCustomerKey() {
	key, err := s3reader.NewCustomerKey([]byte("0123456789abcdefghijklmnopqrstuv")) // from where your secrets are
	if err != nil {
		log.Fatal(err)
	}
	r, err := s3reader.New(sharedAccount(), "secrets", func(o *s3reader.Options) { o.CustomerKey = key })
	if err != nil {
		log.Fatal(err)
	}
	data, err := r.Get(context.Background(), "secret.txt")
	fmt.Printf("%s, %v, %+v\n", data, err, key)
	// Output: sardines, <nil>, [redacted]
}

// A program reads its configuration again when it has changed. The loop asks three times
// here; a real one waits for a time.Ticker, and ends with its context.
func ExampleReader_GetIfChanged() {
	ctx := context.Background()
	cloud := awstest.New()
	account := cloud.Account("444455556666")
	bucket := account.CreateBucket("settings")
	bucket.Put("app.json", []byte(`{"log":"info"}`))
	keys := account.UserCredentials("app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`)
	cfg := cloud.Config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, "")
	settings, err := s3reader.New(cfg, "settings")
	if err != nil {
		log.Fatal(err)
	}

	var etag string // of the configuration in use; empty: none yet
	for poll := range 3 {
		if poll == 2 {
			bucket.Put("app.json", []byte(`{"log":"debug"}`))
		}
		data, info, err := settings.GetIfChanged(ctx, "app.json", etag)
		switch {
		case errors.Is(err, s3reader.ErrNotModified):
			fmt.Println("not modified")
		case err != nil:
			fmt.Println("keeping the old configuration:", err)
		default:
			etag = info.ETag
			fmt.Printf("loaded %s\n", data)
		}
	}
	// Output:
	// loaded {"log":"info"}
	// not modified
	// loaded {"log":"debug"}
}

// A copy of an object can be compared with the original without downloading it.
func ExampleChecksum() {
	info, err := sharedReader().Stat(context.Background(), "cats/indoor.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Checksum.Algorithm, info.Checksum.Value)
	// Output: CRC64NVME wn8IgdwpG1s=
}
