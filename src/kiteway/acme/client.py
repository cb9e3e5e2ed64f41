"""The ACME protocol: one method for each request; the CA's errors become `AcmeError`. Every method blocks."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec
import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from kiteway import __version__
from kiteway.acme.problems import AcmeError, DomainProblem, Kind
from kiteway.model import PrivateKey

_TIMEOUT_SECONDS = 20
_NONCE_ATTEMPTS = 10
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_LONGEST_WAIT = dt.timedelta(days=7)

T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 7807)."""

    type: str = ""
    detail: str = ""


class Challenge(msgspec.Struct, frozen=True):
    """A challenge of an authorization."""

    type: str
    url: str
    status: str = "pending"
    token: str = ""
    error: Problem | None = None


class Identifier(msgspec.Struct, frozen=True):
    """The name that an authorization is for."""

    type: str
    value: str


class Authorization(msgspec.Struct, frozen=True):
    """The CA's view of whether this account controls a name."""

    identifier: Identifier
    status: str
    challenges: tuple[Challenge, ...] = ()
    url: str = ""


class OrderState(msgspec.Struct, frozen=True):
    """
    An order as the CA sees it.

    Attributes:
        status: pending, ready, processing, valid or invalid.
        authorizations: their URLs.
        finalize: the URL that takes the CSR.
        certificate: the URL of the certificate, once it is issued.
        error: why the order is invalid.
        url: its own URL.
        retry_after: seconds that the CA asks to wait before the next poll; None when it does not say.
    """

    status: str
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str = ""
    error: Problem | None = None
    url: str = ""
    retry_after: float | None = None


class _Network(ClientNetwork):
    """Verifies the CA by a file of roots, retries at once after a refused nonce, and stores the last response."""

    def __init__(self, key: JWK, ca_file: str | None) -> None:
        super().__init__(key, alg=ES256, user_agent=f"kiteway/{__version__} (+acme-python)", timeout=_TIMEOUT_SECONDS)
        # requests accepts a file of roots instead of a bool.
        self.verify_ssl = ca_file or True  # type: ignore[assignment]
        self.last_response: requests.Response | None = None

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for attempt in range(_NONCE_ATTEMPTS):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce" or attempt == _NONCE_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.last_response = None
        self.last_response = super()._send_request(method, url, *args, **kwargs)
        return self.last_response


class Client:
    """A CA; its requests are signed with one account's key."""

    def __init__(self, directory: str, account_key: PrivateKey, ca_file: str | None) -> None:
        """
        Read the directory.

        Raises:
            AcmeError: the CA cannot be reached.
        """
        self._where = directory
        self.key: JWK = JWKEC(key=serialization.load_pem_private_key(account_key.reveal(), password=None))
        self._net = _Network(self.key, ca_file)
        self._directory = self._call(lambda: ClientV2.get_directory(directory, self._net))
        self._client = ClientV2(self._directory, self._net)

    @property
    def caa_identities(self) -> tuple[str, ...]:
        """The names of this CA in CAA records; empty when the CA does not publish them."""
        meta = getattr(self._directory, "meta", None)
        return tuple(getattr(meta, "caa_identities", None) or ())

    def register(self, contact: str, eab_kid: str, eab_key: str) -> str:
        """Create the account, or find the existing one of this key, and return its URL."""
        binding = None
        if eab_kid:
            binding = messages.ExternalAccountBinding.from_data(
                self.key.public_key(), eab_kid, eab_key, self._directory
            )
        elif self._call(self._client.external_account_required):
            raise AcmeError(
                Kind.REFUSED,
                f"the CA {self._where} requires an external account binding.",
                "Get a key identifier and a key from the CA: --acme-eab-kid ID --acme-eab-key-file FILE.",
            )
        body = messages.NewRegistration.from_data(
            email=contact, terms_of_service_agreed=True, external_account_binding=binding
        )
        try:
            uri: str = self._call(lambda: self._client.new_account(body)).uri
        except errors.ConflictError as known:
            uri = known.location
        self.use(uri)
        return uri

    def use(self, account_uri: str) -> None:
        """Use the account with this URL."""
        self._net.account = messages.RegistrationResource(uri=account_uri, body=messages.Registration())

    def new_order(self, domains: Sequence[str]) -> OrderState:
        """Order a certificate."""
        identifiers = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in domains]
        response = self._post(self._directory["newOrder"], messages.NewOrder(identifiers=identifiers))
        return self._order(response, response.headers.get("Location", ""))

    def order(self, url: str) -> OrderState:
        """Return the present state of an order."""
        return self._order(self._post(url, None), url)

    def authorization(self, url: str) -> Authorization:
        """Return the present state of an authorization."""
        return msgspec.structs.replace(self._decode(self._post(url, None), Authorization), url=url)

    def answer(self, challenge: Challenge) -> None:
        """Tell the CA that the challenge is ready for validation."""
        self._post(challenge.url, challenges.HTTP01Response(key_authorization=""))

    def finalize(self, order: OrderState, domains: Sequence[str], key: PrivateKey) -> OrderState:
        """Finalize the order: send the CSR."""
        csr = messages.CertificateRequest(csr=_csr(domains, key))
        return self._order(self._post(order.finalize, csr), order.url)

    def download(self, order: OrderState) -> str:
        """Return the PEM chain."""
        return self._post(order.certificate, None).text

    def renewal_time(self, chain: str) -> tuple[dt.datetime | None, dt.datetime]:
        """Return when the CA suggests to renew (None: it does not say) and when to ask again (ARI, RFC 9773)."""
        try:
            at, again = self._call(lambda: self._client.renewal_time(chain.encode()))
        except errors.ARIError as error:
            at, again = None, error.retry_after
        # The library returns local times without a time zone.
        return at.astimezone(dt.UTC) if at else None, again.astimezone(dt.UTC)

    def _post(self, url: str, body: JSONDeSerializable | None) -> requests.Response:
        return self._call(lambda: self._net.post(url, body, new_nonce_url=self._directory["newNonce"]))

    def _order(self, response: requests.Response, url: str) -> OrderState:
        wait = retry_after(response)
        seconds = (wait - dt.datetime.now(dt.UTC)).total_seconds() if wait else None
        return msgspec.structs.replace(self._decode(response, OrderState), url=url, retry_after=seconds)

    def _decode(self, response: requests.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise AcmeError(
                Kind.UNAVAILABLE, f"the CA {self._where} sent an answer that is not valid ACME: {error}."
            ) from error

    def _call(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (errors.ConflictError, errors.ARIError):
            raise
        except messages.Error as error:
            self._refuse(error)
        except (requests.RequestException, errors.Error, JoseError, KeyError, ValueError) as error:
            self._unavailable(error)

    def _refuse(self, error: messages.Error) -> NoReturn:
        problem = Problem(str(error.typ), error.detail or error.title or "")
        when = retry_after(self._net.last_response)
        kind = kind_of(problem)
        named = {
            each.identifier.value: DomainProblem(kind_of(Problem(str(each.typ))), each.detail or "")
            for each in (error, *(error.subproblems or ()))
            if each.identifier is not None
        }
        raise AcmeError(
            kind, f"the CA says: {_sentence(problem.detail or problem.type)}", domains=named, retry_at=when
        ) from error

    def _unavailable(self, error: Exception) -> NoReturn:
        response = self._net.last_response
        when = retry_after(response)
        if response is not None and response.status_code == 429:
            raise AcmeError(
                Kind.RATE_LIMITED, f"the CA {self._where} answers 429: too many requests.", retry_at=when
            ) from error
        if response is not None:
            message = f"the CA {self._where} answers {response.status_code} and the answer is not valid ACME."
        elif isinstance(error, requests.exceptions.SSLError):
            message = f"the server of the CA {self._where} cannot be verified."
            fix = "For a CA of your own give its roots: --acme-ca FILE."
            raise AcmeError(Kind.UNAVAILABLE, message, fix) from error
        else:
            message = f"the CA {self._where} cannot be reached ({_cause(error)})."
        raise AcmeError(Kind.UNAVAILABLE, message, retry_at=when) from error


_KINDS = {
    "rateLimited": Kind.RATE_LIMITED,
    "caa": Kind.CAA_FORBIDDEN,
    "connection": Kind.NOT_VISIBLE,
    "dns": Kind.NOT_VISIBLE,
    "dnssec": Kind.NOT_VISIBLE,
    "incorrectResponse": Kind.NOT_VISIBLE,
    "tls": Kind.NOT_VISIBLE,
    "unauthorized": Kind.NOT_VISIBLE,
    "unknownHost": Kind.NOT_VISIBLE,
    "accountDoesNotExist": Kind.ACCOUNT_GONE,
    "serverInternal": Kind.UNAVAILABLE,
    "badNonce": Kind.UNAVAILABLE,
    "orderNotReady": Kind.UNAVAILABLE,
}
"""RFC 8555, section 6.7; every other type is a refusal that waiting does not change."""


def kind_of(problem: Problem) -> Kind:
    """Return the error that a problem document stands for."""
    code = problem.type.rpartition(":")[2]
    if code in {"dns", "dnssec"} and "CAA" in problem.detail:
        return Kind.CAA_CHECKING
    return _KINDS.get(code, Kind.REFUSED)


def retry_after(response: requests.Response | None) -> dt.datetime | None:
    """Return the time a ``Retry-After`` header names, at most a week away."""
    text = response.headers.get("Retry-After", "") if response is not None else ""
    now = dt.datetime.now(dt.UTC)
    if text.isdecimal():
        return now + min(dt.timedelta(seconds=min(int(text), 10**6)), _LONGEST_WAIT)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(when.astimezone(dt.UTC), now + _LONGEST_WAIT)


def good_token(token: str) -> bool:
    """Return whether a token is safe as a segment of a path."""
    return _TOKEN.fullmatch(token) is not None


def _csr(domains: Sequence[str], key: PrivateKey) -> x509.CertificateSigningRequest:
    private = serialization.load_pem_private_key(key.reveal(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)  # noqa: S101 - made by new_key
    # Without a common name where the host is longer than a common name may be.
    names = [x509.NameAttribute(NameOID.COMMON_NAME, domains[0])] if len(domains[0]) <= 64 else []
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(names))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in domains]), critical=False)
        .sign(private, hashes.SHA256())
    )


def new_key() -> PrivateKey:
    """Return a fresh P-256 key."""
    return PrivateKey(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _cause(error: BaseException) -> str:
    """Return the innermost reason of an error that requests wraps three times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
