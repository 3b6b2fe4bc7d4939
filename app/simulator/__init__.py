"""The part of Twilio we use, on your own machine: REST API, signed webhooks, and misbehaviour on purpose.

It shares no code with the rest: it is the other side. Use it to test your own Twilio code, with curl or the SDK:

    heliograph simulator --port 4010 --account AC00000000000000000000000000000000 --auth-token secret
    curl -u AC00000000000000000000000000000000:secret \\
      http://127.0.0.1:4010/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json \\
      -d To=+14155550123 -d From=+15005550006 -d Body=hello
    curl http://127.0.0.1:4010/_sim/creates
"""
