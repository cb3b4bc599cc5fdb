module github.com/crossrole/crossrole

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.48.0 // aws.Config and what the SDK's clients share: in the public API
	github.com/aws/aws-sdk-go-v2/config v1.33.18 // LoadConfig, in the root package: the SDK's shared configuration
	github.com/aws/aws-sdk-go-v2/credentials v1.21.0 // stscreds builds the two STS requests; endpointcreds and ec2rolecreds ask the agents
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.20.9 // NodeRole: the metadata service
	github.com/aws/aws-sdk-go-v2/service/iam v1.64.9 // tests only: awstest answers IAM's own client
	github.com/aws/aws-sdk-go-v2/service/s3 v1.114.10 // s3reader's client
	github.com/aws/aws-sdk-go-v2/service/sqs v1.52.11 // a test only: a service of the JSON protocol recovers from ExpiredToken
	github.com/aws/aws-sdk-go-v2/service/sts v1.52.0 // the STS client
	github.com/aws/smithy-go v1.28.9 // middleware for recovery, API errors
	github.com/minio/crc64nvme v1.1.1 // s3reader: whole-object checksums at the speed of the link (stdlib: 1.2 GB/s)
	github.com/prometheus/client_golang v1.25.0 // credentials/metrics and cmd/crossrole: what Prometheus scrapes
	github.com/prometheus/common v0.72.0 // a test only: a scrape is parsed as Prometheus does
	github.com/rogpeppe/go-internal v1.16.0 // a test only: testscript runs the command's scripts
	github.com/spf13/cobra v1.10.2 // cmd/crossrole: subcommands, help, completion
	go.yaml.in/yaml/v3 v3.0.6 // awstest.Load: world documents
	golang.org/x/sys v0.48.0 // cmd/crossrole: exec asks the terminal who is in the foreground
	golang.org/x/term v0.46.0 // cmd/crossrole: is it a terminal
)

require (
	github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream v1.7.27 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.5.12 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.8.12 // indirect
	github.com/aws/aws-sdk-go-v2/internal/v4a v1.5.12 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.25 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/checksum v1.11.13 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/presigned-url v1.14.12 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/s3shared v1.20.12 // indirect
	github.com/aws/aws-sdk-go-v2/service/signin v1.13.1 // indirect
	github.com/aws/aws-sdk-go-v2/service/sso v1.39.5 // indirect
	github.com/aws/aws-sdk-go-v2/service/ssooidc v1.44.5 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/cpuid/v2 v2.2.9 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
	golang.org/x/tools v0.26.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
