import base64

import pytest

from syncd.sync.webhook_signature import signature, signing_key


def test_a_signature_is_that_of_the_standards_own_example():
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_text_unless_it_says_that_it_is_base64():
    assert signing_key("a plain secret") == b"a plain secret"
    assert signing_key("whsec_" + base64.b64encode(b"bytes").decode()) == b"bytes"
    with pytest.raises(ValueError, match="not Base64"):
        signing_key("whsec_no!")
