package credentials_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// BenchmarkRetrieve is the path of a fresh session, compared with the SDK's cache.
func BenchmarkRetrieve(b *testing.B) {
	b.Run("chain", func(b *testing.B) {
		benchmarkRetrieve(b, func(p aws.CredentialsProvider) aws.CredentialsProvider { return p })
	})
	b.Run("sdk", func(b *testing.B) {
		benchmarkRetrieve(b, func(p aws.CredentialsProvider) aws.CredentialsProvider { return aws.NewCredentialsCache(p) })
	})
}

func benchmarkRetrieve(b *testing.B, wrap func(aws.CredentialsProvider) aws.CredentialsProvider) {
	s := newScene(b)
	p := wrap(s.hubChain(b))
	if _, err := p.Retrieve(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Retrieve(b.Context())
	}
}

func TestFreshSessionCostsNoAllocation(t *testing.T) {
	chain := newScene(t).hubChain(t)
	if _, err := chain.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { chain.Retrieve(ctx) }); n != 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}
