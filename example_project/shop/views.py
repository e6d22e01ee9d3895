"""The shop's pages."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import LoginView
from django.core.cache import cache
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from shop.cart import Cart
from shop.checkout import SoldOut, get_shipping, place_order
from shop.forms import AddToCartForm, CheckoutForm, LogInForm, SignUpForm
from shop.models import Category, Customer, Order, OrderLine, Page, Product

_ORDERS = "orders"


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    products = Product.objects.with_texts()
    featured = products.filter(featured=True)[:8]
    context = {
        "hero": featured[:3],
        "featured": featured,
        "popular": _get_popular(),
        "newest": products.exclude(featured=True)[:4],
    }
    return render(request, "shop/home.html", context)


def _get_popular() -> list[Product]:
    ids = cache.get("popular")
    if ids is None:
        sold = OrderLine.objects.exclude(product=None).values("product")
        best = sold.annotate(sold=Sum("quantity")).order_by("-sold", "product")[:4]
        ids = [row["product"] for row in best]
        cache.set("popular", ids, 60)
    products = Product.objects.with_texts().in_bulk(ids)
    return [products[pk] for pk in ids if pk in products]


@require_safe
def category(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Category.objects.prefetch_related("texts"), slug=slug)
    products = found.products.with_texts()
    context = {"category": found, "title": found.title, "products": products}
    return render(request, "shop/products.html", context)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:80]
    products = Product.objects.with_texts()
    products = products.search(words) if words else products
    title = _("Search: “%(words)s”") % {"words": words} if words else _("Everything")
    context = {"title": title, "words": words, "products": products}
    return render(request, "shop/products.html", context)


def product(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Product.objects.with_texts(), slug=slug)
    form = AddToCartForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        Cart(request).add(found, form.cleaned_data["quantity"])
        messages.success(
            request, _("“%(name)s” is in your cart.") % {"name": found.title}
        )
        return redirect("shop:cart")
    related = found.category.products.with_texts().exclude(pk=found.pk)[:4]
    context = {"product": found, "form": form, "related": related}
    return render(request, "shop/product.html", context)


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Page.objects.in_language(), slug=slug)
    return render(request, "shop/page.html", {"page": found})


@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/cart.html", _get_totals(request))


@require_POST
def change_cart(request: HttpRequest, product_id: int) -> HttpResponse:
    quantity = request.POST.get("quantity", "")
    if quantity.isdecimal() and len(quantity) < 4:
        Cart(request).change(product_id, int(quantity))
    return redirect("shop:cart")


def checkout(request: HttpRequest) -> HttpResponse:
    totals = _get_totals(request)
    if not totals["lines"]:
        return redirect("shop:cart")
    customer = _find_customer(request)
    form = CheckoutForm(request.POST or None, initial=_get_contact(customer))
    if request.method == "POST" and form.is_valid():
        try:
            placed = place_order(totals["lines"], form.cleaned_data, customer)
        except SoldOut as error:
            text = _("We have only %(stock)s of “%(name)s” left.")
            values = {"stock": error.product.stock, "name": error.product.title}
            messages.error(request, text % values)
            return redirect("shop:cart")
        Cart(request).clear()
        request.session[_ORDERS] = [*request.session.get(_ORDERS, []), placed.pk]
        return redirect(placed)
    return render(request, "shop/checkout.html", {"form": form, **totals})


@require_safe
def order(request: HttpRequest, reference: str) -> HttpResponse:
    found = get_object_or_404(
        Order.objects.prefetch_related("lines"), reference=reference
    )
    customer = _find_customer(request)
    is_own = customer is not None and found.customer_id == customer.pk
    if not is_own and found.pk not in request.session.get(_ORDERS, []):
        raise Http404
    return render(request, "shop/order.html", {"order": found})


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    customer = _find_customer(request)
    orders = customer.orders.prefetch_related("lines") if customer else []
    return render(
        request, "shop/account.html", {"customer": customer, "orders": orders}
    )


def sign_up(request: HttpRequest) -> HttpResponse:
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.save().user)
        return redirect("shop:account")
    return render(request, "shop/sign_up.html", {"form": form})


class LogIn(LoginView):
    form_class = LogInForm
    template_name = "shop/log_in.html"


def _get_totals(request: HttpRequest) -> dict[str, Any]:
    lines = Cart(request).get_lines()
    subtotal, shipping = sum(line.total for line in lines), get_shipping(lines)
    return {
        "lines": lines,
        "subtotal": subtotal,
        "shipping": shipping,
        "total": subtotal + shipping,
    }


def _find_customer(request: HttpRequest) -> Customer | None:
    if isinstance(request.user, AnonymousUser):
        return None
    return Customer.objects.filter(user=request.user).first()


def _get_contact(customer: Customer | None) -> dict[str, str]:
    if customer is None:
        return {}
    return {
        "name": customer.name,
        "email": customer.user.email,
        "address": customer.address,
        "postcode": customer.postcode,
        "city": customer.city,
    }
