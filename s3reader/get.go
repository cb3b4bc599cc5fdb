package s3reader

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// getStep bounds what a claimed length alone makes Get allocate.
const getStep = 32 << 20

// Get returns all bytes of an object, in memory. Bodies that break off are
// resumed; the length and, where there is one, the checksum of the whole object
// have been compared when the error is nil.
func (r *Reader) Get(ctx context.Context, key string) (_ []byte, err error) {
	const op = "get"
	defer r.recovered(op, key, &err)
	o, err := r.open(ctx, key, op)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	size := o.info.Size
	if size > math.MaxInt {
		return nil, r.fail(op, key, fmt.Errorf("an object of %d bytes does not fit in memory: use Open", size))
	}
	var data []byte
	for int64(len(data)) < size {
		n := len(data)
		step := int(min(size-int64(n), max(int64(n), getStep)))
		data = slices.Grow(data, step)[:n+step]
		if _, err := io.ReadFull(o, data[n:]); err != nil {
			return nil, err
		}
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

func (r *Reader) getInput(key string) *s3.GetObjectInput {
	in := &s3.GetObjectInput{
		Bucket: &r.bucket.name, Key: &key,
		RequestPayer: r.payer(), ExpectedBucketOwner: r.owner(),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = r.opts.CustomerKey.headers()
	return in
}
