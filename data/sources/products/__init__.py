"""The products that are read by a declaration alone, by the kind of product.

A field is written as the product writes it in its own documents, but its case and separators make
no difference. See docs/sources.md.
"""

from data.sources.product import Product
from data.sources.products.business import BUSINESS_PRODUCTS
from data.sources.products.engineering import ENGINEERING_PRODUCTS
from data.sources.products.identity import IDENTITY_PRODUCTS
from data.sources.products.workplace import WORKPLACE_PRODUCTS

PRODUCTS: tuple[Product, ...] = (
    *IDENTITY_PRODUCTS,
    *WORKPLACE_PRODUCTS,
    *ENGINEERING_PRODUCTS,
    *BUSINESS_PRODUCTS,
)
