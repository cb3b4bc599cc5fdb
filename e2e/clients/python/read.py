"""Reads one object with boto3's default credentials, or those of the profile PROFILE:
once for each line of its standard input. For each read it prints one JSON object with
the access key ID that signed the request.
"""
import base64
import json
import os
import sys

import boto3
from botocore.config import Config

session = boto3.Session(profile_name=os.environ.get("PROFILE"))
s3 = None
for _ in sys.stdin:
    read = {}
    try:
        # The credentials are loaded when the first client is created.
        s3 = s3 or session.client("s3", endpoint_url=os.environ["ENDPOINT"], config=Config(retries={"total_max_attempts": 1}))
        read["key"] = session.get_credentials().get_frozen_credentials().access_key
        response = s3.get_object(Bucket=os.environ["BUCKET"], Key=os.environ["KEY"])
        read["body"] = base64.b64encode(response["Body"].read()).decode()
    except Exception as e:
        read["error"] = f"{type(e).__name__}: {e}"
    print(json.dumps(read), flush=True)
