package credentials_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// A region of STS's own is held to the partition of the roles, too.
func TestRegionOfSTSIsOfTheRolesPartition(t *testing.T) {
	for region, fails := range map[string]bool{"us-west-2": false, "cn-north-1": true, "us-gov-west-1": true} {
		_, err := credentials.New(awstest.New().Config(), func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: "/token"}
			o.STS = func(o *sts.Options) { o.Region = region }
		})
		if !fails {
			if err != nil {
				t.Errorf("%s: %v", region, err)
			}
			continue
		}
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), region) || !strings.Contains(err.Error(), "Options.STS") {
			t.Errorf("%s: got %v", region, err)
		}
	}
}

// A nil among the options is a mistake that is named.
func TestNilOptions(t *testing.T) {
	base := awstest.New().Config()
	web := func(o *credentials.Options) { o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: "/token"} }
	_, chain := credentials.New(base, web, nil)
	_, config := credentials.Wrap(base, web, nil)
	_, pool := credentials.NewPool(base, func(o *credentials.PoolOptions) { web(&o.Options) }, nil)
	for _, err := range []error{chain, config, pool} {
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), "optFns[1]: nil") {
			t.Errorf("got %v", err)
		}
	}
}
