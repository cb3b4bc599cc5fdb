// Package childenv returns the environment in which a program uses the credential
// endpoint and no other identity: [Environ] removes the variables that select one, and
// [CheckHome] reports files of the home directory that select one whatever the variables
// say.
package childenv

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// identityVariables select credentials, or the file, cache or endpoint that they come
// from, in the SDKs and tools that docs/serve.md lists. The program gets only those that
// Environ sets itself.
var identityVariables = []string{
	// Keys.
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
	"AWS_CREDENTIAL_EXPIRATION", "AWS_CREDENTIAL_SCOPE",
	"AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AMAZON_ACCESS_KEY_ID", "AMAZON_SECRET_ACCESS_KEY", "AMAZON_SESSION_TOKEN",
	"AWSACCESSKEYID", "AWSSECRETACCESSKEY", "AWSSESSIONTOKEN",
	"EC2_ACCESS_KEY", "EC2_SECRET_KEY", "EC2_SECURITY_TOKEN",
	"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD",
	"RCLONE_S3_ACCESS_KEY_ID", "RCLONE_S3_SECRET_ACCESS_KEY", "RCLONE_S3_SESSION_TOKEN",
	// Files, profiles and caches.
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CREDENTIAL_FILE", "AWS_CREDENTIAL_PROFILES_FILE", "CPL_AWS_CREDENTIALS_FILE",
	"AWS_LOGIN_CACHE_DIRECTORY", "AWS_SDK_LOAD_CONFIG", "AWS_SDK_LOAD_NONDEFAULT_CONFIG",
	"BOTO_CONFIG", "BOTO_PATH",
	"MINIO_SHARED_CREDENTIALS_FILE", "MINIO_ALIAS",
	"RCLONE_S3_PROFILE", "RCLONE_S3_SHARED_CREDENTIALS_FILE",
	// Roles.
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME",
	"RCLONE_S3_ROLE_ARN", "RCLONE_S3_ROLE_SESSION_NAME", "RCLONE_S3_ROLE_EXTERNAL_ID",
	// Endpoints that return credentials.
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_SERVICE_ENDPOINT",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
	"AWS_IMDS_USE_IPV6", "AWS_METADATA_URL",
}

// bearerToken is the prefix of variables whose token is sent to a service in place of a
// signature, such as AWS_BEARER_TOKEN_BEDROCK.
const bearerToken = "AWS_BEARER_TOKEN_"

// javaProperties are Java's system properties for the same purposes.
var javaProperties = []string{
	"aws.accessKeyId", "aws.secretAccessKey", "aws.secretKey", "aws.sessionToken",
	"aws.profile", "aws.configFile", "aws.sharedCredentialsFile",
	"aws.roleArn", "aws.roleSessionName", "aws.webIdentityTokenFile",
	"aws.containerCredentialsPath", "aws.containerCredentialsFullUri", "aws.containerServiceEndpoint",
	"aws.containerAuthorizationToken", "aws.containerAuthorizationTokenFile",
	"aws.disableEc2Metadata", "aws.ec2MetadataServiceEndpoint", "aws.ec2MetadataServiceEndpointMode",
}

// Environ returns env without what selects another identity, and with the endpoint at
// url and its token. region is set where env names none. foldCase says that names that
// differ only in case are the same variable, as on Windows.
func Environ(env []string, region, url, token string, foldCase bool) []string {
	regions := map[string]string{}
	var kept []string
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		key := name
		if foldCase {
			key = strings.ToUpper(name)
		}
		switch {
		case slices.Contains(identityVariables, key), strings.HasPrefix(key, bearerToken):
		case key == "AWS_REGION", key == "AWS_DEFAULT_REGION":
			if regions[key] == "" {
				regions[key] = value
			}
		case strings.HasSuffix(key, "OPTS"), strings.HasSuffix(key, "OPTIONS"):
			kept = append(kept, name+"="+withoutProperties(value))
		default:
			kept = append(kept, variable)
		}
	}
	set := []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + url,
		// All SDKs know this variable, and those from before 2024 no other. It needs
		// no file, which a program that changes its user or its root could not read.
		"AWS_CONTAINER_AUTHORIZATION_TOKEN=" + token,
		// These name an empty file. Without them the SDKs read files of the home
		// directory before they ask the endpoint.
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_CREDENTIAL_PROFILES_FILE=" + os.DevNull,
		"CPL_AWS_CREDENTIALS_FILE=" + os.DevNull,
		"BOTO_CONFIG=" + os.DevNull,
		"MINIO_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		// The JavaScript SDK v2 uses AWS_SHARED_CREDENTIALS_FILE only with this.
		"AWS_SDK_LOAD_CONFIG=1",
		// Some SDKs go on to the node's role when the endpoint returns an error.
		"AWS_EC2_METADATA_DISABLED=true",
	}
	// The Go, Java and JavaScript SDKs read AWS_REGION, botocore reads
	// AWS_DEFAULT_REGION only.
	for name, other := range map[string]string{"AWS_REGION": "AWS_DEFAULT_REGION", "AWS_DEFAULT_REGION": "AWS_REGION"} {
		value := regions[name]
		if value == "" {
			value = regions[other]
		}
		if value == "" {
			value = region
		}
		if value != "" {
			set = append(set, name+"="+value)
		}
	}
	return append(kept, set...)
}

// withoutProperties returns the options of a Java virtual machine without those that set
// one of javaProperties. Options are separated by white space outside of quotes. The
// others stay unchanged.
func withoutProperties(options string) string {
	if !strings.Contains(options, "aws.") {
		return options
	}
	var kept strings.Builder
	for rest := options; rest != ""; {
		space := len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace))
		end := space + optionLength(rest[space:])
		if !setsIdentity(rest[space:end]) {
			kept.WriteString(rest[:end])
		}
		rest = rest[end:]
	}
	return kept.String()
}

// optionLength returns the length of the option that s begins with.
func optionLength(s string) int {
	var quote rune
	for i, r := range s {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"', r == '\'':
			quote = r
		case unicode.IsSpace(r):
			return i
		}
	}
	return len(s)
}

func setsIdentity(option string) bool {
	option = strings.NewReplacer(`"`, "", `'`, "").Replace(option)
	property, ok := strings.CutPrefix(option, "-D")
	name, _, _ := strings.Cut(property, "=")
	return ok && slices.Contains(javaProperties, name)
}

// CheckHome returns an error if a file of the user's home directory would give the
// program another identity although no variable names the file:
//
//   - a default profile with credentials in ~/.aws, which the PHP SDK and boto 2
//     read whatever AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say;
//   - the encrypted store of the .NET SDK on Windows.
//
// getenv is os.Getenv in the command.
func CheckHome(getenv func(string) string) error {
	if home := homeDir(getenv); home != "" {
		for _, name := range []string{"credentials", "config"} {
			file := filepath.Join(home, ".aws", name)
			setting, err := defaultIdentity(file)
			if err != nil {
				return refuseHomeFile(file, "cannot be read: "+err.Error())
			}
			if setting != "" {
				return refuseHomeFile(file, "has a default profile with "+setting+", which the PHP SDK and boto 2 use before the endpoint, whatever the environment says")
			}
		}
	}
	if local := getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && local != "" {
		file := filepath.Join(local, "AWSToolkit", "RegisteredAccounts.json")
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return refuseHomeFile(file, "holds accounts that the .NET SDK uses before the endpoint, whatever the environment says")
		}
	}
	return nil
}

func refuseHomeFile(file, why string) error {
	return fmt.Errorf("exec: %s %s: the program could act as that identity instead of the role; "+
		"remove the profile or the file, set HOME to another directory, or, if the program uses neither SDK, add --keep-home-files", file, why)
}

// homeDir returns the directory that the SDKs use for ~.
func homeDir(getenv func(string) string) string {
	names := []string{"HOME"}
	if runtime.GOOS == "windows" {
		names = []string{"HOME", "USERPROFILE"}
	}
	for _, name := range names {
		if home := getenv(name); home != "" {
			return home
		}
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// defaultIdentity returns the first setting by which the default profile of a
// shared configuration file gives credentials, or "".
func defaultIdentity(file string) (string, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case info.Mode().Type() == fs.ModeNamedPipe: // opening it would wait for its writer
		return "", errors.New("it is a named pipe")
	case !info.Mode().IsRegular():
		return "", nil // such as /dev/null: the SDKs read no profiles from it
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	isDefault := false
	for lines.Scan() {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if section, ok := strings.CutPrefix(line, "["); ok {
			section, _, _ = strings.Cut(section, "]")
			words := strings.Fields(strings.NewReplacer(`"`, " ", `'`, " ").Replace(section))
			isDefault = len(words) > 0 && words[len(words)-1] == "default" && (len(words) == 1 || words[0] == "profile")
			continue
		}
		setting, _, ok := strings.Cut(strings.Replace(line, ":", "=", 1), "=")
		setting = strings.ToLower(strings.TrimSpace(setting))
		if isDefault && ok && givesCredentials(setting) {
			return setting, nil
		}
	}
	return "", lines.Err()
}

func givesCredentials(setting string) bool {
	switch setting {
	case "aws_access_key_id", "aws_secret_access_key", "credential_process", "credential_source", "source_profile",
		"role_arn", "web_identity_token_file", "login_session":
		return true
	}
	return strings.HasPrefix(setting, "sso_")
}
