# Reads one object with the credentials of the profile PROFILE: once for each line of its
# standard input. It prints the same as python/read.py.
require "aws-sdk-s3"
require "json"

s3 = nil
$stdin.each_line do
  read = {}
  begin
    s3 ||= Aws::S3::Client.new(profile: ENV.fetch("PROFILE"), endpoint: ENV.fetch("ENDPOINT"), force_path_style: true, retry_limit: 0)
    response = s3.get_object(bucket: ENV.fetch("BUCKET"), key: ENV.fetch("KEY"))
    read[:key] = s3.config.credentials.credentials.access_key_id
    read[:body] = [response.body.read].pack("m0")
  rescue StandardError => e
    read[:error] = "#{e.class}: #{e.message}"
  end
  puts JSON.generate(read)
  $stdout.flush
end
