package s3reader_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// Case B21: a session that S3 calls expired, at the first request or in the middle
// of a body, is renewed once, and nobody notices.
func TestExpiredSessionIsRenewedOnce(t *testing.T) {
	for _, op := range operations {
		for _, broken := range []bool{false, true} {
			if broken && op.class != byAll && op.class != byRange {
				continue
			}
			t.Run(op.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cloud, bucket, cfg := gallery(t)
					data := noise(matrixSize)
					bucket.Put(matrixKey, data)
					bucket.Put("dir/a", []byte("1"))
					bucket.Put("dir/b", []byte("22"))
					chain, _ := credentials.ChainOf(cfg)
					old, err := chain.Retrieve(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if broken {
						cloud.Fault(awstest.Fault{Operation: "GetObject", Bucket: "pics", ResetAfter: new(int64(1000)), Times: 1})
					}
					cloud.Fault(awstest.Fault{Bucket: "pics", AccessKeyID: old.AccessKeyID, Status: 400, Code: "ExpiredToken"})
					got, err := op.run(t.Context(), newReader(t, cfg, "pics"))
					if err != nil || !bytes.Equal(got, op.truth(data)) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					if n := signIns(cloud); n > 2 || n < 2 && op.class != byLink {
						t.Errorf("%d sessions, want a second one", n)
					}
				})
			})
		}
	}
}

// One that S3 refuses as well ends in an error, not in a loop.
func TestExpiredForEver(t *testing.T) {
	for _, op := range operations {
		if op.class == byLink {
			continue // needs no answer
		}
		t.Run(op.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud, bucket, cfg := gallery(t)
				bucket.Put(matrixKey, noise(matrixSize))
				cloud.Fault(awstest.Fault{Bucket: "pics", Status: 400, Code: "ExpiredToken"})
				_, err := op.run(t.Context(), newReader(t, cfg, "pics"))
				if !errors.Is(err, credentials.CredentialsExpired) {
					t.Errorf("got %v, want %v", err, credentials.CredentialsExpired)
				}
				if n := signIns(cloud); n > 2 {
					t.Errorf("%d sessions", n)
				}
				if n := len(cloud.Calls()); n > 10 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

func signIns(cloud *awstest.Cloud) int {
	n := 0
	for _, c := range cloud.Calls() {
		if c.Operation == "AssumeRoleWithWebIdentity" {
			n++
		}
	}
	return n
}
