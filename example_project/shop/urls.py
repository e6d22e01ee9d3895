"""The shop's addresses."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from shop import views

app_name = "shop"

urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("category/<slug:slug>/", views.category, name="category"),
    path("product/<slug:slug>/", views.product, name="product"),
    path("pages/<slug:slug>/", views.page, name="page"),
    path("cart/", views.cart, name="cart"),
    path("cart/change/<int:product_id>/", views.change_cart, name="change_cart"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/<slug:reference>/", views.order, name="order"),
    path("account/", views.account, name="account"),
    path("account/sign-up/", views.sign_up, name="sign_up"),
    path("account/log-in/", views.LogIn.as_view(), name="log_in"),
    path("account/log-out/", LogoutView.as_view(), name="log_out"),
]
