package credentials

import "os"

// The variables that may fill a chain's settings. Nothing else in the
// environment influences a chain.
const (
	envRoleARN         = "AWS_ROLE_ARN"
	envTokenFile       = "AWS_WEB_IDENTITY_TOKEN_FILE"
	envSessionName     = "AWS_ROLE_SESSION_NAME"
	envRegion          = "AWS_REGION"
	envDefaultRegion   = "AWS_DEFAULT_REGION"
	envSTSEndpoint     = "AWS_ENDPOINT_URL_STS"
	envIgnoreEndpoints = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
	envPodIdentityURL  = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	envPodIdentityFile = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// shadowing are the variables that would choose the credentials in the SDK's
// own default chain. They change nothing here; people who set them should know.
var shadowing = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
}

// set returns those of the variables that are set; one set to the empty string
// is unset, as in the SDK.
func set(names ...string) []string {
	var found []string
	for _, name := range names {
		if os.Getenv(name) != "" {
			found = append(found, name)
		}
	}
	return found
}

// setting is a value and where it came from, for messages.
type setting struct{ value, from string }

// fill returns the field's own value, or else that of the first variable that
// is set. With neither, from names what could have been set.
func fill(value, field string, variables ...string) setting {
	if value != "" {
		return setting{value, field}
	}
	for _, name := range variables {
		if v := os.Getenv(name); v != "" {
			return setting{v, name}
		}
	}
	return setting{"", field}
}
