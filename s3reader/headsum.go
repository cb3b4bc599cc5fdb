package s3reader

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// describe asks for what there is to know of an object without its bytes, the
// checksum of the whole included.
func (d *download) describe(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := d.r.headInput(d.info.Key)
	if d.r.opts.Verify == VerifyAuto {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := call(ctx, d.r, (*s3.Client).HeadObject, in, d.mw...)
	if err != nil {
		return err
	}
	info, err := d.r.describe(ctx, d.info.Key, out, d.mw...)
	if err != nil {
		return err
	}
	d.info = *info
	d.expect(storedSums{out.ChecksumType, out.ChecksumCRC64NVME, out.ChecksumCRC32, out.ChecksumCRC32C})
	return nil
}
