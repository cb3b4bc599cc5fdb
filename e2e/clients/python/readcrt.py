"""Reads one object with the AWS Common Runtime, which is C and has its own credentials
chain, signer and HTTP client: once for each line of its standard input. It prints the
same as read.py.
"""
import base64
import json
import os
import sys
import urllib.parse

from awscrt import auth, http

endpoint = urllib.parse.urlsplit(os.environ["ENDPOINT"])
chain = auth.AwsCredentialsProvider.new_default_chain()


def get(path):
    headers = http.HttpHeaders([("Host", endpoint.netloc)])
    request = http.HttpRequest("GET", path, headers)
    auth.aws_sign_request(request, auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4, signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=chain, region="us-east-1", service="s3",
        use_double_uri_encode=False, should_normalize_uri_path=False,
        signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256)).result()
    connection = http.HttpClientConnection.new(endpoint.hostname, endpoint.port).result()
    body, status = bytearray(), []
    stream = connection.request(request, lambda status_code, **_: status.append(status_code), lambda chunk, **_: body.extend(chunk))
    stream.activate()
    stream.completion_future.result()
    connection.close()
    if status != [200]:
        raise RuntimeError(f"{status[0]} {body.decode()}")
    return bytes(body)


for _ in sys.stdin:
    read = {}
    try:
        read["key"] = chain.get_credentials().result().access_key_id
        read["body"] = base64.b64encode(get(f"/{os.environ['BUCKET']}/{os.environ['KEY']}")).decode()
    except Exception as e:
        read["error"] = f"{type(e).__name__}: {e}"
    print(json.dumps(read), flush=True)
os._exit(0)  # the runtime's threads may abort a regular exit
