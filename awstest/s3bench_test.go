package awstest_test

import (
	"fmt"
	"testing"
)

// Requests to a bucket of 100,000 objects, over memory, signatures included.
func BenchmarkLargeBucket(b *testing.B) {
	s := newStore(b)
	large := s.owner.CreateBucket("large")
	for i := range 100_000 {
		large.Put(fmt.Sprintf("dir%03d/%05d", i/1000, i), []byte("x"))
	}
	s.do(b, "owner", "GET", "/large?list-type=2&max-keys=1", "", "") // sorts the keys once
	for _, request := range []struct{ name, method, target string }{
		{"get", "GET", "/large/dir050/50000"},
		{"put", "PUT", "/large/new%d"},
		{"delete", "DELETE", "/large/dir000/%05d"},
		{"list 10", "GET", "/large?list-type=2&max-keys=10&start-after=dir050"},
		{"list 10 versions", "GET", "/large?versions&max-keys=10&prefix=dir050"},
	} {
		b.Run(request.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				target := request.target
				if request.method != "GET" {
					target = fmt.Sprintf(target, i)
				}
				if got := s.do(b, "owner", request.method, target, "", ""); got.StatusCode >= 300 {
					b.Fatalf("%d %s", got.StatusCode, got.body)
				}
			}
		})
	}
}
