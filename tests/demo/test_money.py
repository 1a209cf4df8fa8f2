"""What the demo sells and subsidises is what the API server takes."""

import pytest

from demo.money import ACCOUNT, PROGRAM, VOUCHER
from suanli.api import ComputeAccount, Resource, Voucher, VoucherProgram


@pytest.mark.parametrize(
    ("model", "manifest"), [(ComputeAccount, ACCOUNT), (VoucherProgram, PROGRAM), (Voucher, VOUCHER)]
)
def test_its_objects_are_valid(model: type[Resource], manifest: object) -> None:
    model.model_validate(manifest)


def test_the_voucher_is_of_the_programme_and_of_a_namespace_of_the_account() -> None:
    voucher, account = Voucher.model_validate(VOUCHER), ComputeAccount.model_validate(ACCOUNT)
    assert voucher.spec.program == VoucherProgram.model_validate(PROGRAM).metadata.name
    assert voucher.metadata.namespace in account.spec.namespaces
