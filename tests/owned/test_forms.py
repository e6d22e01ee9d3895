"""Forms and the admin: each mirror has names of its own, and errors for those alone."""

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms import inlineformset_factory, modelform_factory, modelformset_factory
from django.test import Client

from django_mirrors import use_mirror
from django_mirrors.testing import no_mirror
from tests.market.models import Note, Product, Trader
from tests.owned.conftest import MARKS, SHARED, dump

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("engine", ["sqlite"], indirect=True),
]

FILMS, FRENCH = SHARED
ProductForm = modelform_factory(Product, fields=["name", "price", "trader"])
TraderForm = modelform_factory(Trader, fields=["name", "rank"])


@pytest.fixture
def plum(market):
    """Let the French alone have a plum, and a trader named Carl."""
    with use_mirror(FRENCH):
        Product.objects.create(name="plum", price=2)
        Trader.objects.create(name="Carl", rank=2)
        Note.objects.create(text="Plum")
    return dump(FRENCH)


@pytest.mark.parametrize(
    ("kind", "name"), [(ProductForm, "plum"), (TraderForm, "Carl")]
)
def test_name_that_another_mirror_has_is_free(plum, kind, name):
    with use_mirror(FILMS):
        form = kind({"name": name, "price": 1, "rank": 1})

        assert form.is_valid()
        form.save()

        assert type(form.instance).objects.filter(name=name).count() == 1
    assert dump(FRENCH) == plum


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (ProductForm, "apple", "Product with this Name already exists."),
        (TraderForm, "Ann", "Trader with this Name already exists."),
    ],
)
def test_name_that_the_mirror_has_is_an_error_of_the_field(market, kind, name, message):
    with use_mirror(FILMS):
        form = kind({"name": name, "price": 1, "rank": 1})

        assert form.errors == {"name": [message]}


def test_own_row_may_keep_its_name(market):
    with use_mirror(FILMS):
        apple = Product.objects.get(name="apple")
        form = ProductForm({"name": "apple", "price": 9}, instance=apple)

        assert form.is_valid()


def test_rule_of_the_owner_alone_is_an_error_of_the_whole(market, monkeypatch):
    field = Product._meta.get_field("mirror_uid")
    monkeypatch.setattr(field, "_unique", True)
    monkeypatch.delitem(vars(field), "unique", raising=False)

    with use_mirror(FILMS):
        form = modelform_factory(Product, fields=["name", "price"])(
            {"name": "new", "price": 1}
        )
        errors = form.errors

    assert list(errors) == [NON_FIELD_ERRORS]


def test_object_made_with_no_mirror_is_compared_where_it_is_validated(market):
    with no_mirror():
        trader = Trader(name="Ann")

    with use_mirror(FILMS), pytest.raises(ValidationError, match="already exists"):
        trader.full_clean()


def test_constraint_of_expressions_is_compared_within_the_mirror(plum):
    with use_mirror(FILMS):
        Note(text="PLUM").full_clean()
    with use_mirror(FRENCH), pytest.raises(ValidationError):
        Note(text="PLUM").full_clean()


def test_key_of_another_mirrors_row_is_no_choice(market):
    with use_mirror(FRENCH):
        theirs = Trader.objects.get(name="Ann").pk

    with use_mirror(FILMS):
        form = ProductForm({"name": "new", "price": 1, "trader": theirs})

        assert list(form.errors) == ["trader"]


def test_formset_finds_a_name_twice(market):
    data = {
        "form-TOTAL_FORMS": 2, "form-INITIAL_FORMS": 0,
        "form-0-name": "fig", "form-0-price": 1,
        "form-1-name": "fig", "form-1-price": 2,
    }  # fmt: skip
    factory = modelformset_factory(Product, fields=["name", "price"], extra=2)

    with use_mirror(FILMS):
        formset = factory(data, queryset=Product.objects.none())

        assert not formset.is_valid()
        assert "duplicate data for name" in str(formset.non_form_errors())


def test_inline_formset_finds_a_name_that_is_there(market):
    factory = inlineformset_factory(Trader, Product, fields=["name", "price"], extra=1)
    data = {
        "products-TOTAL_FORMS": 1, "products-INITIAL_FORMS": 0,
        "products-0-name": "cheese", "products-0-price": 1,
    }  # fmt: skip

    with use_mirror(FILMS):
        formset = factory(data, instance=Trader.objects.get(name="Ann"))

        assert formset.errors == [{"name": ["Product with this Name already exists."]}]


@pytest.fixture
def visit(plum):
    """Return a function that gives the browser of somebody of the staff of a mirror."""

    def visit(name):
        host = {"films": "films.example", "films-fr": "fr.films.example"}[name]
        client = Client(headers={"host": host})
        with use_mirror(name):
            User.objects.filter(username=name).delete()
            User.objects.create_superuser(name, "", "a password")
        done = client.post(
            "/admin/login/", {"username": name, "password": "a password"}
        )
        assert done.status_code == 302
        return client

    return visit


@pytest.mark.parametrize("name", SHARED)
def test_list_of_the_admin_has_the_rows_of_its_mirror(visit, name):
    other = SHARED[1 - SHARED.index(name)]

    page = visit(name).get("/admin/market/product/")

    with use_mirror(name):
        changes = page.context["cl"]
        rows = {row.price % 10 for row in changes.result_list}
        [traders, _], *_ = changes.get_filters(page.wsgi_request)
        choices = {choice[0] for choice in traders.lookup_choices}
    with use_mirror(other):
        theirs = {row.pk for row in Trader.objects.all()}
    assert rows == {MARKS[name]}
    assert choices
    assert choices.isdisjoint(theirs)


@pytest.mark.parametrize("query", ["q=plum", "name=plum", "price=2", "price__gt=31"])
def test_search_of_the_admin_finds_no_row_of_another_mirror(visit, query):
    page = visit(FILMS).get(f"/admin/market/product/?{query}")

    assert page.status_code == 200
    assert "0 products" in page.content.decode()


@pytest.mark.parametrize("action", ["change", "delete", "history"])
def test_page_of_another_mirrors_row_is_not_there(visit, action):
    with use_mirror(FRENCH):
        theirs = Product.objects.get(name="apple").pk
    client = visit(FILMS)

    page = client.get(f"/admin/market/product/{theirs}/{action}/")
    sent = client.post(f"/admin/market/product/{theirs}/{action}/", {"post": "yes"})

    # The admin leads whoever asks for what is not there to its first page.
    assert {page.status_code, sent.status_code} <= {302, 404}


def test_row_is_added_in_the_admin_of_its_mirror(visit, plum):
    done = visit(FILMS).post("/admin/market/product/add/", {"name": "plum", "price": 1})

    assert done.status_code == 302
    with use_mirror(FILMS):
        assert Product.objects.get(name="plum").price == 1
    assert dump(FRENCH) == plum


def test_name_that_is_there_is_an_error_in_the_admin(visit):
    page = visit(FRENCH).post(
        "/admin/market/product/add/", {"name": "plum", "price": 1}
    )

    assert page.status_code == 200
    errors = page.context["adminform"].form.errors
    assert errors == {"name": ["Product with this Name already exists."]}


def test_name_that_is_there_is_an_error_in_an_inline_of_the_admin(visit):
    with use_mirror(FRENCH):
        ann = Trader.objects.get(name="Ann")
        friend = ann.friends.get().pk
    data = {
        "name": "Ann", "rank": 2, "friends": [friend],
        "products-TOTAL_FORMS": 1, "products-INITIAL_FORMS": 0,
        "products-0-name": "plum", "products-0-price": 1,
    }  # fmt: skip

    page = visit(FRENCH).post(f"/admin/market/trader/{ann.pk}/change/", data)

    assert page.status_code == 200
    [inline] = page.context["inline_admin_formsets"]
    assert inline.formset.errors == [
        {"name": ["Product with this Name already exists."]}
    ]


def test_rows_are_deleted_in_the_admin_of_their_mirror_alone(visit, plum):
    with use_mirror(FILMS):
        numbers = [row.pk for row in Product.objects.all()]
    with use_mirror(FRENCH):
        theirs = [row.pk for row in Product.objects.all()]
    data = {
        "action": "delete_selected",
        "_selected_action": [*numbers, *theirs],
        "post": "yes",
    }

    done = visit(FILMS).post("/admin/market/product/", data)

    assert done.status_code == 302
    with use_mirror(FILMS):
        assert not Product.objects.exists()
    assert dump(FRENCH) == plum
