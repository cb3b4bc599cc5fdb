package credentials_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials"
)

// Until it is built, the pool says so and does nothing else.
func TestPoolIsNotBuiltYet(t *testing.T) {
	_, err := credentials.NewPool(aws.Config{Region: "us-east-1"})
	_, chainErr := new(credentials.Pool).Chain(credentials.Role{})
	_, configErr := new(credentials.Pool).Config(credentials.Role{})
	for _, err := range []error{err, chainErr, configErr} {
		if err == nil || !strings.Contains(err.Error(), "not built yet") {
			t.Errorf("got %v", err)
		}
	}
}
